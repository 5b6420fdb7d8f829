import type pg from 'pg';
import { unitsByBucket } from '../../src/flags/admitted-units.js';
import type { FlagAnswer, FlagDefinition } from '../../src/flags/definition.js';
import { inForce } from '../../src/flags/admission.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import { listFlags } from '../../src/flags/flag-store.js';
import type { Flags } from '../../src/worker/platform.js';

/** Flags as the control database has them at each `hear`: what the embedded source would tell. */
export class DatabaseFlags implements Flags {
  private answers = new Map<string, FlagAnswer>();

  constructor(private readonly control: pg.Pool) {}

  async hear(): Promise<void> {
    const flags = await listFlags(this.control);
    const admissions = await readAdmissions(this.control);
    this.answers = new Map(
      flags.map(({ name, job, region, enabled, variants, revision }) => {
        const set = { name, job, region, enabled, variants, revision };
        const definition = inForce(set, admissions.of(job, region));
        return [
          name,
          enabled && definition.variants.length > 0
            ? { open: true, definition, ageMs: 0 }
            : {
                open: false,
                code: enabled ? 'flag-held' : 'flag-off',
                reason: `${name} is closed`,
                revision,
              },
        ];
      }),
    );
  }

  look(flag: string): FlagAnswer {
    return (
      this.answers.get(flag) ?? { open: false, code: 'flag-unknown', reason: `there is no flag ${flag}` }
    );
  }

  admit(definition: FlagDefinition, version: string, units: Iterable<string>): Set<string> {
    return unitsByBucket(definition, version, units);
  }
}
