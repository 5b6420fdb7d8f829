import { startPoller, type Poller } from '../kernel/poller.js';
import { type AdvancePorts, advanceRollout, type Looked } from './advance.js';
import { rolloutsUnderWay } from './rollout-store.js';

export interface KeepAdvancingOptions {
  readonly everyMs: number;
  /** Told of each round what was seen of the rollouts under way: the last of it, where another process has one in hand. */
  readonly onRound: (looked: readonly Looked[]) => void | Promise<void>;
  /** What kept a rollout, or the whole round, from being looked at. It is tried again with the next. */
  readonly onError: (error: unknown) => void;
}

/**
 * Looks at the rollouts that are under way again and again until it is stopped. One that cannot be looked at
 * keeps no other from it.
 */
export function keepAdvancing(ports: AdvancePorts, options: KeepAdvancingOptions): Poller {
  let seen = new Map<string, Looked>();
  const round = async (signal: AbortSignal): Promise<void> => {
    const now = new Map<string, Looked>();
    for (const id of await rolloutsUnderWay(ports.control)) {
      if (signal.aborted) return;
      try {
        const looked = (await advanceRollout(ports, id)) ?? seen.get(id);
        if (looked) now.set(id, looked);
      } catch (error) {
        options.onError(error);
      }
    }
    seen = now;
    await options.onRound([...now.values()]);
  };
  return startPoller(options.everyMs, round, options.onError);
}
