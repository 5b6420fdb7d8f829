import type pg from 'pg';
import { AdmissionBook } from './admission.js';
import { ADMISSIONS, type ReadAdmission } from './admission-reader.js';
import { ControlReader, type ControlReaderOptions } from './control-reader.js';
import { FlagRepository, type SourcedFlag } from './flag-repository.js';
import { type FlagRow, definitionOfRow, featureOf } from './flag-row.js';
import type { ChangeListener, SourceState } from './hearing.js';
import type { FlagSource } from './source.js';

/** Flags, and how far versions are admitted, from the control database. */
export class EmbeddedSource implements FlagSource {
  readonly name = 'embedded';
  readonly repository = new FlagRepository();
  readonly admissions: AdmissionBook;
  readonly #reader: ControlReader;

  constructor(control: pg.Pool, options: ControlReaderOptions = {}) {
    this.admissions = new AdmissionBook([], options.now);
    this.#reader = new ControlReader(
      control,
      async (ask) => {
        const flags = await ask<FlagRow>(
          'select job, region, enabled, variants, revision from portcullis_control.flag',
        );
        // Behind the flags: a rollout's step raises both at once, and its share is never seen without its admission.
        const askedAtMs = this.admissions.now();
        const admissions = await ask<ReadAdmission>(ADMISSIONS);
        const changed = this.repository.replace(flags.map(sourced), newest(flags));
        return [...new Set([...changed, ...this.admissions.replace(admissions, askedAtMs)])];
      },
      options,
    );
  }

  start(): Promise<void> {
    return this.#reader.start();
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }

  state(): SourceState {
    return this.#reader.state();
  }

  onChange(listener: ChangeListener): () => void {
    return this.#reader.onChange(listener);
  }
}

function sourced(row: FlagRow): SourcedFlag {
  const found = definitionOfRow(row);
  if ('malformed' in found) return { name: found.name, found };
  return { name: found.name, found, feature: featureOf(found.name, found.enabled, found.variants) };
}

function newest(rows: readonly FlagRow[]): number {
  return rows.reduce((most, { revision }) => Math.max(most, revision), 0);
}
