import { OpenFeature, type Client } from '@openfeature/server-sdk';
import type { Admissions } from '../../src/flags/admission.js';
import type { FlagDefinition } from '../../src/flags/definition.js';
import { type Feature, FlagRepository, type Segment } from '../../src/flags/flag-repository.js';
import { definitionOfRow, featureOf } from '../../src/flags/flag-row.js';
import { Hearing } from '../../src/flags/hearing.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import type { ChangeListener, SourceProblem, SourceState } from '../../src/flags/hearing.js';
import type { FlagSource } from '../../src/flags/source.js';
import { definitionOf } from '../../src/flags/unleash-definition.js';
import { EVERYTHING } from './admissions.js';
import type { Variant } from '../../src/flags/variant.js';

/** A flag source in a test's hands: it says what it is told to say, when it is told to. */
export class ToldSource implements FlagSource {
  readonly name = 'told';
  readonly repository = new FlagRepository();
  /** Everything is admitted until a test says otherwise. */
  admissions: Admissions = EVERYTHING;
  nowMs = 0;
  readonly #hearing = new Hearing(() => this.nowMs);
  #revision = 0;

  /** Says a flag as the embedded source would. */
  say(job: string, region: string, enabled: boolean, variants: readonly Variant[]): FlagDefinition {
    this.#revision += 1;
    const found = definitionOfRow({ job, region, enabled, variants, revision: this.#revision });
    if ('malformed' in found) throw new Error(found.malformed);
    const feature = featureOf(found.name, enabled, found.variants);
    this.#hearing.heard(
      this.nowMs,
      this.repository.replace([{ name: found.name, found, feature }], this.#revision),
    );
    return found;
  }

  /** Says features as the Unleash source would. */
  sayFeatures(features: readonly Feature[], segments: readonly Segment[] = []): void {
    this.#revision += 1;
    const flags = features.map((feature) => {
      const found = definitionOf(feature, this.#revision, segments);
      return { name: feature.name, feature, ...(found !== undefined && { found }) };
    });
    this.#hearing.heard(this.nowMs, this.repository.replace(flags, this.#revision, segments));
  }

  /** Says that all is as it was. */
  sayUnchanged(): void {
    this.#hearing.heard(this.nowMs, []);
  }

  fail(problem: SourceProblem): void {
    this.#hearing.trouble(problem);
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  state(): SourceState {
    return this.#hearing.state();
  }

  onChange(listener: ChangeListener): () => void {
    return this.#hearing.onChange(listener);
  }
}

let opened = 0;

/** A provider over a told source, registered with OpenFeature under a domain of its own. */
export async function openedProvider(
  maxAgeMs?: number,
): Promise<{ source: ToldSource; provider: PortcullisProvider; client: Client }> {
  const source = new ToldSource();
  const provider = new PortcullisProvider(source, maxAgeMs === undefined ? {} : { maxAgeMs });
  opened += 1;
  const domain = `test-${opened}`;
  await OpenFeature.setProviderAndWait(domain, provider);
  return { source, provider, client: OpenFeature.getClient(domain) };
}
