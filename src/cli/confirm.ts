import { Option } from 'commander';
import { PortcullisError } from '../kernel/errors.js';
import type { Context } from './context.js';

/** `--yes`: do without being asked. */
export function yesOption(): Option {
  return new Option('-y, --yes', 'do it without being asked');
}

/** Asks before something that its own user may regret. Throws USAGE_INVALID unless they agree, or said `--yes`. */
export async function confirmed({ io }: Context, yes: boolean | undefined, warning: string): Promise<void> {
  if (yes === true) return;
  const answer = io.asks ? await io.askLine(`${warning}. Go on? [y/N] `) : undefined;
  if (answer !== undefined && /^y(es)?$/i.test(answer.trim())) return;
  throw new PortcullisError('USAGE_INVALID', warning, { hint: 'add --yes to do it; nothing was changed' });
}
