import { useSignal, useSignalEffect, type ReadonlySignal } from '@preact/signals';

const REST_MS = 80;

/** What was typed, once the typing rests: ten thousand gates are not looked through at every letter. */
export function useDeferredText(text: ReadonlySignal<string>): string {
  const settled = useSignal(text.value);
  useSignalEffect(() => {
    const now = text.value;
    const timer = setTimeout(() => (settled.value = now), REST_MS);
    return () => clearTimeout(timer);
  });
  return settled.value;
}
