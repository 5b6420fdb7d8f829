import type { Signal } from '@preact/signals';
import { useId } from 'preact/hooks';

interface ReasonProps {
  readonly value: Signal<string>;
  /** For whom it is. */
  readonly hint: string;
  readonly autofocus?: boolean;
  readonly optional?: boolean;
}

/** Where the reason of an act is written. */
export function Reason({ value, hint, autofocus = false, optional = false }: ReasonProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Reason</label>
      <textarea
        id={id}
        rows={2}
        maxLength={1000}
        required={!optional}
        aria-describedby={`${id}-hint`}
        autofocus={autofocus}
        value={value.value}
        onInput={(event) => (value.value = event.currentTarget.value)}
      />
      <p class="hint" id={`${id}-hint`}>
        {hint}
      </p>
    </div>
  );
}
