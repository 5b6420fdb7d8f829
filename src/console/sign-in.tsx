import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { signedOutBecause, signIn } from './api.js';
import { Copyable } from './parts/copy.js';
import { Problem } from './parts/problem.js';
import { navigate } from './router.js';

/** A link's code stands behind the #; it is taken out of the address before anything else. */
function codeOfLink(): string | undefined {
  if (location.pathname !== '/sign-in') return undefined;
  const code = location.hash.slice(1);
  navigate('/', { replace: true });
  return code === '' ? undefined : code;
}

const linked = codeOfLink();

/** Signs in with the code of the link that this page was opened with, once. Answers whether there was one. */
export async function signInByLink(): Promise<unknown> {
  if (linked === undefined) return undefined;
  try {
    await signIn({ code: linked });
    return undefined;
  } catch (error) {
    return error;
  }
}

export function SignIn({ failed }: { readonly failed: unknown }) {
  const token = useSignal('');
  const busy = useSignal(false);
  const error = useSignal(failed);
  useEffect(() => {
    document.title = 'Sign in · Portcullis';
  }, []);
  const submit = async (): Promise<void> => {
    busy.value = true;
    try {
      await signIn({ token: token.value.trim() });
    } catch (thrown) {
      error.value = thrown;
    }
    busy.value = false;
  };
  return (
    <main class="sign-in">
      <div class="card">
        <Wordmark />
        <h1>Sign in</h1>
        {signedOutBecause.value !== '' && (
          <p role="status" class="notice">
            {signedOutBecause.value}
          </p>
        )}
        {error.value !== undefined && <Problem error={error.value} />}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <div class="field">
            <label for="token">Token</label>
            <input
              id="token"
              type="password"
              autocomplete="current-password"
              spellcheck={false}
              required
              autofocus
              value={token.value}
              onInput={(event) => (token.value = event.currentTarget.value)}
              aria-describedby="token-hint"
            />
            <p class="hint" id="token-hint">
              The one that you got from <code>portcullis login</code>. It begins with <code>pcl_</code>.
            </p>
          </div>
          <button type="submit" class="primary wide" disabled={busy.value || token.value.trim() === ''}>
            {busy.value ? 'Signing in…' : 'Sign in'}
          </button>
        </form>
        <p class="or">or, on a machine that has a token</p>
        <Copyable text="portcullis open" what="the command" />
        <p class="hint">prints a link that signs you in once.</p>
      </div>
    </main>
  );
}

export function Wordmark() {
  return (
    <span class="wordmark">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path
          fill="currentColor"
          d="M2 3h12v1.4H2zm0 4h12v1.4H2zM3.2 2h1.4v9.6l-.7 1.9-.7-1.9zm4.1 0h1.4v9.6L8 13.500 7.300 11.600zm4.100 0h1.400v9.600l-.7 1.9-.7-1.900z"
        />
      </svg>
      Portcullis
    </span>
  );
}
