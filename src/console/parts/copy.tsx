import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

const SHOWN_MS = 2_000;

/** A button that copies a text; where the browser lets no page copy, it selects it to be copied by hand. */
export function Copy({ text, what }: { readonly text: string; readonly what: string }) {
  const done = useSignal('');
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (): Promise<void> => {
    done.value = await copyText(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => (done.value = ''), SHOWN_MS);
  };
  return (
    <button type="button" class="copy" aria-label={`Copy ${what}`} onClick={() => void copy()}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path
          fill="currentColor"
          d="M5 1h8a2 2 0 0 1 2 2v8h-2V3H5zM3 5h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2m0 2v6h6V7z"
        />
      </svg>
      <span role="status">{done.value}</span>
    </button>
  );
}

async function copyText(text: string): Promise<string> {
  try {
    await navigator.clipboard.writeText(text);
    return 'copied';
  } catch {
    return 'not allowed: select and copy it';
  }
}

/** Something to be typed elsewhere, such as a command, with a button that copies it. */
export function Copyable({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <div class="copyable">
      <code>{text}</code>
      <Copy text={text} what={what} />
    </div>
  );
}
