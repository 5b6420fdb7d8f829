import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { PortcullisError } from '../kernel/errors.js';
import { signedOutBecause, signIn, signInWays, type SignInWays } from './api.js';
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

/** Where the provider sends the browser back to: the view that this page was opened for. */
function providerLink(): string {
  const here = location.pathname === '/sign-in' ? '/' : location.pathname + location.search;
  return `/session/oidc?to=${encodeURIComponent(here)}`;
}

export function SignIn({ failed }: { readonly failed: unknown }) {
  const ways = useSignal<SignInWays | undefined>(undefined);
  const error = useSignal(failed);
  useEffect(() => {
    document.title = 'Sign in · Portcullis';
    signInWays().then(
      (found) => {
        ways.value = found;
        const { problem } = found;
        if (problem === null) return;
        error.value = new PortcullisError(problem.code as PortcullisError['code'], problem.detail, {
          hint: problem.hint,
        });
      },
      (thrown: unknown) => (error.value ??= thrown),
    );
  }, []);
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
        {ways.value?.provider != null ? (
          <a class="button" href={providerLink()}>
            Sign in with {ways.value.provider.label}
          </a>
        ) : (
          ways.value !== undefined && <TokenForm onError={(thrown) => (error.value = thrown)} />
        )}
        <p class="or">or, on a machine that has a token</p>
        <Copyable text="portcullis open" what="the command" />
        <p class="hint">prints a link that signs you in once.</p>
      </div>
    </main>
  );
}

function TokenForm({ onError }: { readonly onError: (thrown: unknown) => void }) {
  const token = useSignal('');
  const busy = useSignal(false);
  const submit = async (): Promise<void> => {
    busy.value = true;
    try {
      await signIn({ token: token.value.trim() });
    } catch (thrown) {
      onError(thrown);
    }
    busy.value = false;
  };
  return (
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
