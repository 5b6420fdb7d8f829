import { Unleash } from 'unleash-client';
import { flagName } from '../../flags/definition.js';
import { FlagRepository } from '../../flags/flag-repository.js';
import { seededRandom } from '../random.js';

/** unleash-client's own default. */
export const REFRESH_SECONDS = 15;

/**
 * A flag for each region as a service has it without Portcullis: read at each start through unleash-client,
 * which knows what its last refresh brought. Refreshes come every 15 seconds of the world's clock, from a second
 * that the seed draws. Seconds must not go back.
 */
export class PlainFlag {
  readonly #job: string;
  readonly #regions: readonly string[];
  readonly #repository = new FlagRepository();
  readonly #client: Unleash;
  readonly #phase: number;
  /** Where it was turned on, since when. The newest is the last. */
  readonly #settings: { readonly second: number; readonly on: readonly string[] }[] = [];

  private constructor(job: string, regions: readonly string[], seed: number) {
    this.#job = job;
    this.#regions = regions;
    this.#phase = Math.floor(seededRandom(`plain flag ${seed}`).unit() * REFRESH_SECONDS);
    this.#client = new Unleash({
      appName: 'replay',
      // Asked for, and never called: the repository is ours and metrics are off.
      url: 'http://unleash.invalid/',
      repository: this.#repository,
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
    });
    this.#client.on('error', () => undefined);
  }

  static async start(job: string, regions: readonly string[], seed: number): Promise<PlainFlag> {
    const flag = new PlainFlag(job, regions, seed);
    await flag.#client.start();
    return flag;
  }

  /** Somebody turns it on in these regions, and off in all others. */
  set(second: number, on: readonly string[]): void {
    this.#settings.push({ second, on });
  }

  /** The regions where a job that starts now is told yes. */
  readAt(second: number): readonly string[] {
    this.#refresh(second - modulo(second - this.#phase, REFRESH_SECONDS));
    return this.#regions.filter((region) => this.#client.isEnabled(flagName(this.#job, region)));
  }

  /** The first refresh at or after a second. */
  nextRefresh(second: number): number {
    return second + modulo(this.#phase - second, REFRESH_SECONDS);
  }

  close(): void {
    this.#client.destroy();
  }

  #refresh(at: number): void {
    const on = this.#settings.findLast(({ second }) => second <= at)?.on ?? [];
    this.#repository.replace(
      this.#regions.map((region) => {
        const name = flagName(this.#job, region);
        return { name, feature: { name, enabled: on.includes(region), strategies: [] } };
      }),
      at,
    );
  }
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
