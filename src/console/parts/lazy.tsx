import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { Problem } from './problem.js';

/** What is loaded when it is first shown, as most screens are. */
export function lazily<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  return function Lazy(props: Props) {
    const Screen = useSignal(loaded);
    const failed = useSignal<unknown>(undefined);
    useEffect(() => {
      if (loaded !== undefined) return;
      load().then(
        (screen) => {
          loaded = screen;
          Screen.value = screen;
        },
        (error: unknown) => (failed.value = error),
      );
    }, []);
    if (Screen.value !== undefined) return <Screen.value {...props} />;
    return failed.value === undefined ? (
      <p class="loading">Opening the screen…</p>
    ) : (
      <>
        <Problem error={failed.value} />
        <p class="hint">The console may have been updated: load the page again.</p>
      </>
    );
  };
}
