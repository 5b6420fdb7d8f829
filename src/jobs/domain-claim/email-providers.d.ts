/** It brings no types: the domains of mail providers, as text. */
declare module 'email-providers' {
  const domains: readonly string[];
  export default domains;
}
