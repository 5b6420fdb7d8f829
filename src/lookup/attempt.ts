/** How long something may take, and what may end it sooner. */
export interface Limits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Begins something that settles through a callback, and waits for whichever comes first: its outcome, the
 * time running out (`onTimeout` says what that means), or an abort (rejects with the signal's reason).
 * What `begin` returned is called in every case; it closes whatever was opened.
 */
export async function attempt<Outcome>(
  limits: Limits,
  onTimeout: () => Outcome,
  begin: (settle: (outcome: Outcome) => void) => () => void,
): Promise<Outcome> {
  const { timeoutMs, signal } = limits;
  signal?.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  let end: (() => void) | undefined;
  try {
    return await new Promise<Outcome>((resolve, reject) => {
      timer = setTimeout(() => resolve(onTimeout()), timeoutMs);
      onAbort = () => reject(signal?.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
      end = begin(resolve);
    });
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    end?.();
  }
}
