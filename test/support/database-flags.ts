import type pg from 'pg';
import { unitsByBucket } from '../../src/flags/admitted-units.js';
import type { FlagAnswer, FlagDefinition } from '../../src/flags/definition.js';
import { AdmissionBook, inForce } from '../../src/flags/admission.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import { listFlags } from '../../src/flags/flag-store.js';
import type { Flags } from '../../src/worker/platform.js';

/** Flags as the control database has them at each `hear`: what the embedded source would tell. */
export class DatabaseFlags implements Flags {
  private flags: ReadonlyMap<string, FlagDefinition> = new Map();
  private admissions = new AdmissionBook();

  constructor(private readonly control: pg.Pool) {}

  async hear(): Promise<void> {
    const flags = await listFlags(this.control);
    this.admissions = await readAdmissions(this.control);
    this.flags = new Map(
      flags.map(({ name, job, region, enabled, variants, revision }) => [
        name,
        { name, job, region, enabled, variants, revision },
      ]),
    );
  }

  look(flag: string): FlagAnswer {
    const set = this.flags.get(flag);
    if (set === undefined) return { open: false, code: 'flag-unknown', reason: `there is no flag ${flag}` };
    const { enabled, revision, job, region } = set;
    const admission = this.admissions.of(job, region);
    const definition = inForce(set, admission);
    if (enabled && definition.variants.length > 0) return { open: true, definition, ageMs: 0 };
    return {
      open: false,
      code: enabled ? 'flag-held' : 'flag-off',
      reason: `${flag} is closed`,
      revision,
      ...(admission.revisions && { admissionRevisions: admission.revisions }),
    };
  }

  admit(definition: FlagDefinition, version: string, units: Iterable<string>): Set<string> {
    return unitsByBucket(definition, version, units);
  }
}
