import type { Approval } from '../access/approvals.js';
import { time } from '../kernel/words.js';

/** Who asked: the token, and the person where that has another name. */
export function askedByText({ requestedBy, requestedPerson }: Approval): string {
  return tokenText(requestedBy, requestedPerson);
}

/** Who decided, and who introduced them. */
export function decidedByText({ decidedBy, decidedPerson, introducedBy }: Approval): string {
  if (decidedBy === null) return '–';
  const who = tokenText(decidedBy, decidedPerson);
  return introducedBy === null ? who : `${who}, introduced by ${introducedBy}`;
}

function tokenText(token: string, person: string | null): string {
  return person === null || person === token ? token : `${token} of ${person}`;
}

/** How a request goes on that approves itself. */
export function aloneText({ id, subject, aloneAt }: Approval): string {
  return `${subject} approves itself at ${time(aloneAt ?? '')}, as decided alone, unless somebody cancels it:\n  portcullis reject ${id}\n`;
}
