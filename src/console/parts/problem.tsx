import { problemOf } from '../api.js';

/** What went wrong, and what to do. */
export function Problem({ error }: { readonly error: unknown }) {
  const { code, text, hint } = problemOf(error);
  return (
    <div class="problem" role="alert">
      <p>
        <strong>{sentence(text)}</strong>
      </p>
      {hint !== '' && <p>{sentence(hint)}</p>}
      <p class="quiet">
        <code>{code}</code>
      </p>
    </div>
  );
}

function sentence(text: string): string {
  const first = text.replace(/^./u, (letter) => letter.toUpperCase());
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
