import { InvalidArgumentError } from 'commander';
import { REASON_LETTERS } from '../base/reason-letters.js';

/** Reads a reason or a conclusion, as the API does: for whoever reads it later, it must say something. For commander. */
export function parseSaid(text: string): string {
  const said = text.trim();
  if (said === '') throw new InvalidArgumentError('It is empty: say why, for whoever reads the record.');
  if (said.length > REASON_LETTERS) throw new InvalidArgumentError(`It is over ${REASON_LETTERS} letters.`);
  return said;
}
