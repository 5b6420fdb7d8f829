import type { ComponentChildren } from 'preact';

interface ProgressProps {
  readonly have: number;
  readonly of: number;
  /** What gets on, for a screen reader. */
  readonly label: string;
  readonly children: ComponentChildren;
}

/** How much of something is done, drawn and in words. */
export function ProgressBar({ have, of, label, children }: ProgressProps) {
  const share = of === 0 ? 1 : Math.min(1, have / of);
  return (
    <div class="progress">
      <p>{children}</p>
      <svg
        viewBox="0 0 1000 8"
        preserveAspectRatio="none"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={of}
        aria-valuenow={have}
      >
        <rect class="share-all" width="1000" height="8" rx="4" />
        <rect class="progress-done" width={1_000 * share} height="8" rx="4" />
      </svg>
    </div>
  );
}
