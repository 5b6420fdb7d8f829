import type pg from 'pg';
import { AdmissionBook, type AdmissionRow } from './admission.js';
import { ControlReader, type ControlReaderOptions } from './control-reader.js';
import { isoOf } from '../postgres/view.js';

/** Every admission, as it counts now. */
export const ADMISSIONS = `select a.job, a.region, a.version, a.permille, a.revision, b.grants as "breakGlass"
  from portcullis_control.admission a
  left join (
    select job, region, version, jsonb_agg(jsonb_build_object(
      'id', id, 'permille', permille,
      'until', ${isoOf('expires_at')},
      'leftMs', (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8)) as grants
    from portcullis_control.break_glass
    where ended_at is null and expires_at > clock_timestamp()
    group by job, region, version
  ) b using (job, region, version)`;

export type ReadAdmission = AdmissionRow;

/** How far versions are admitted, for a source whose flags are elsewhere. */
export class AdmissionReader extends ControlReader {
  readonly admissions: AdmissionBook;

  constructor(control: pg.Pool, options: ControlReaderOptions = {}) {
    const admissions = new AdmissionBook([], options.now);
    super(
      control,
      async (ask) => {
        const askedAtMs = admissions.now();
        return admissions.replace(await ask<ReadAdmission>(ADMISSIONS), askedAtMs);
      },
      options,
    );
    this.admissions = admissions;
  }
}
