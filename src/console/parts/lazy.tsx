import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { Problem } from './problem.js';

/** What is loaded when it is first shown, as most screens are. A dialog shows nothing until then: it stands over the page. */
export function lazily<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
  { isDialog = false } = {},
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
    if (failed.value === undefined) return isDialog ? null : <p class="loading">Opening the screen…</p>;
    return (
      <>
        <Problem error={failed.value} />
        <p class="hint">The console may have been updated: load the page again.</p>
      </>
    );
  };
}
