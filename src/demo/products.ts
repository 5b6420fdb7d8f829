/** The products whose login looks at an account's managing organisation and its single-sign-on policy. */
export const PRODUCTS = ['Trello', 'Jira', 'Confluence', 'Opsgenie', 'Access'] as const;
export type Product = (typeof PRODUCTS)[number];
