import type pg from 'pg';
import { AdmissionBook, type AdmissionRow } from './admission.js';
import { ControlReader, type ControlReaderOptions } from './control-reader.js';

/** Every admission, as it counts now. */
export const ADMISSIONS = 'select job, region, version, permille, revision from portcullis_control.admission';

export type ReadAdmission = AdmissionRow;

/** How far versions are admitted, for a source whose flags are elsewhere. */
export class AdmissionReader extends ControlReader {
  readonly admissions: AdmissionBook;

  constructor(control: pg.Pool, options: ControlReaderOptions = {}) {
    const admissions = new AdmissionBook();
    super(control, async (ask) => admissions.replace(await ask<ReadAdmission>(ADMISSIONS)), options);
    this.admissions = admissions;
  }
}
