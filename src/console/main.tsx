import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { loadMe, me, problemOf } from './api.js';
import { dialog } from './dialogs.js';
import { followWhile } from './live/live.js';
import { Problem } from './parts/problem.js';
import { Shell } from './shell.js';
import { SignIn, signInByLink } from './sign-in.js';
import './theme.js';

const failed = signal<unknown>(undefined);
const AGAIN_MS = 2_000;

function Console() {
  if (me.value === undefined) {
    return failed.value === undefined ? (
      <p class="loading">Opening the console…</p>
    ) : (
      <main class="sign-in">
        <Problem error={failed.value} />
      </main>
    );
  }
  return me.value === null ? <SignIn failed={failed.value} /> : <Shell />;
}

effect(() => {
  const isSignedIn = me.value != null;
  followWhile(isSignedIn);
  if (!isSignedIn) dialog.value = null;
});

async function begin(): Promise<void> {
  failed.value = await signInByLink();
  for (;;) {
    try {
      if (me.value == null) await loadMe();
      return;
    } catch (error) {
      failed.value = error;
      console.error(problemOf(error).text);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

const root = document.getElementById('console');
if (root === null) throw new Error('the page has no place for the console');
render(<Console />, root);
void begin();
