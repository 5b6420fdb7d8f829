import { InvalidArgumentError } from 'commander';
import { parseReason } from '../kernel/reason.js';

/** Reads a reason or a conclusion from the command line. For commander: throws its own error. */
export function reasonOption(text: string): string {
  const parsed = parseReason(text);
  if ('fault' in parsed) throw new InvalidArgumentError(parsed.fault);
  return parsed.reason;
}
