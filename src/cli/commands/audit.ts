import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { type AuditFilter } from '../../audit/browse-audit.js';
import {
  headText,
  parseHead,
  type AuditHead,
  type ChainedEntry,
  type ChainVerdict,
} from '../../audit/chain.js';
import { exportAudit, verifyLines } from '../../audit/lines.js';
import { verifyAudit } from '../../audit/verify.js';
import { PortcullisError, messageOf } from '../../kernel/errors.js';
import { countUnrecorded } from '../../containment/unrecorded-kill.js';
import { countUnrecordedTrips } from '../../containment/trip-row.js';
import { askPlanes } from '../../regions/ask-planes.js';
import { requireActing } from '../acting.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { instant } from '../instant.js';
import { group, leaf } from '../leaf.js';
import { limitOption, showList } from '../listing.js';
import { withProgress } from '../progress.js';
import { waitingText } from '../wording.js';
import type { Cell } from '../table.js';
import { countOf, time } from '../../kernel/words.js';

export function addAudit(program: Command, context: Context): void {
  const audit = group(program, 'audit', 'The record of every decision: who, what, on what evidence.');
  addList(audit, context);
  addVerify(audit, context);
  addExport(audit, context);
}

interface ListOptions {
  readonly by?: string;
  readonly action?: string;
  readonly subject?: string;
  readonly since?: Date;
  readonly limit: number;
}

function addList(parent: Command, context: Context): void {
  const command = leaf(parent, 'list', 'List what is on the record, newest first.', [
    'portcullis audit list --subject domain-claim.eu-west-1',
    'portcullis audit list --by alice --action set-flag --since 2026-03-01 --json',
  ])
    .option('--by <principal>', 'only what this principal did')
    .option('--action <action>', 'only this action, such as set-flag')
    .option('--subject <subject>', 'only what was done to this: a flag, a token, a request for approval')
    .option('--since <time>', 'only from this moment on (ISO 8601; UTC where it names no zone)', instant)
    .addOption(limitOption('entries'))
    .action(({ by: principal, action, subject, since, limit }: ListOptions) => {
      const filter: AuditFilter = { principal, action, subject, since: since?.toISOString() };
      return showList(context, command, {
        ...{ as: 'entries', limit, text: entriesText },
        pageOf: (invoke, page) => invoke('listAudit', { ...filter, ...page }),
      });
    });
}

export function entriesText(voice: Voice, entries: readonly ChainedEntry[]): string {
  if (entries.length === 0) return 'No entries\n';
  return voice.table(
    [
      ...[{ title: 'entry' }, { title: 'at' }, { title: 'by', below: 2 }, { title: 'action' }],
      ...[{ title: 'subject' }, { title: 'revision', below: 1 }, { title: 'evidence', below: 3 }],
    ],
    entries.map((entry) => [
      entry.seq,
      time(entry.at),
      entry.principal,
      entry.action,
      entry.subject,
      entry.flagRevision ?? '–',
      evidenceText(entry),
    ]),
  );
}

/** Its JSON, with spaces to break lines at. */
function evidenceText({ evidence }: ChainedEntry): string {
  const members = Object.entries(evidence).map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  );
  return `{${members.join(', ')}}`;
}

interface VerifyOptions {
  readonly file?: string;
  readonly expectHead?: AuditHead;
}

function addVerify(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'verify',
    'Verify that no entry was changed, removed or inserted; name the first that was. Exits with 1 when one was.\n' +
      'Keep the head that it prints: what is cut off at the end is found only against a head that was kept.',
    [
      'portcullis audit verify',
      'portcullis audit verify --expect-head 1204:9f3c…',
      'portcullis audit verify --file audit.jsonl',
    ],
  )
    .option('--expect-head <head>', 'a head printed earlier, which the log must still contain', parseHead)
    .option('--file <file>', 'verify what `audit export` wrote; needs no database')
    .action(async ({ file, expectHead }: VerifyOptions) => {
      const voice = voiceOf(context, command);
      const { verdict, waiting } =
        file === undefined
          ? await verifyDatabase(context, expectHead)
          : await withProgress(context.io.stderr, 'verifying', async () => ({
              verdict: await verifyFile(resolve(file), expectHead),
              waiting: undefined,
            }));
      voice.result({ ...verdictResult(verdict), ...(waiting !== undefined && { waiting }) }, () =>
        verdictText(voice, verdict, waiting),
      );
      if (!verdict.ok) context.io.exitWith(1);
    });
}

/** What waits: kills and trips that hold and are not in the log yet. */
interface Verified {
  readonly verdict: ChainVerdict;
  readonly waiting:
    { readonly kills: number; readonly trips: number; readonly unreachable: readonly string[] } | undefined;
}

function verifyDatabase(context: Context, expectHead: AuditHead | undefined): Promise<Verified> {
  return withLook(context, async (installation) => {
    await requireActing(context, installation, 'verify-audit');
    return withProgress(context.io.stderr, 'verifying', async (progress) => {
      const { control, planes } = installation;
      const verdict = await verifyAudit(control, {
        expectHead,
        onProgress: (count) => progress.say(`verifying, ${countOf(count, 'entry', 'entries')}`),
      });
      const { answers, unreachable } = await askPlanes(planes, async ({ owner }) => ({
        kills: await countUnrecorded(owner),
        trips: await countUnrecordedTrips(control, owner),
      }));
      const waiting = {
        kills: answers.reduce((sum, { answer }) => sum + answer.kills, 0),
        trips: answers.reduce((sum, { answer }) => sum + answer.trips, 0),
        unreachable: unreachable.map(({ database }) => database),
      };
      return { verdict, waiting };
    });
  });
}

async function verifyFile(path: string, expectHead: AuditHead | undefined): Promise<ChainVerdict> {
  try {
    const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
    return await verifyLines(lines, { expectHead });
  } catch (error) {
    throw new PortcullisError('FILE_UNREADABLE', `${path}: ${messageOf(error)}`, {
      hint: 'name a file that `portcullis audit export` wrote',
      details: { file: path },
      cause: error,
    });
  }
}

function verdictResult(verdict: ChainVerdict) {
  return verdict.ok ? { ...verdict, head: headText(verdict.head) } : verdict;
}

function waitingFacts(waiting: Verified['waiting']): [string, Cell][] {
  if (waiting === undefined) return [];
  const { unreachable } = waiting;
  const text = waitingText(waiting);
  return [
    ...(text === undefined ? [] : [['waiting', { text, tone: 'warning' }] satisfies [string, Cell]]),
    ...(unreachable.length === 0
      ? []
      : [
          ['unknown', `${unreachable.join(', ')} did not answer; what waits there is unknown`] satisfies [
            string,
            Cell,
          ],
        ]),
  ];
}

function verdictText(voice: Voice, verdict: ChainVerdict, waiting: Verified['waiting']): string {
  if (verdict.ok) {
    const { count, head } = verdict;
    return voice.facts([
      ['record', { text: `whole: ${countOf(count, 'entry', 'entries')}`, tone: 'good' }],
      ['head', headText(head)],
      ...waitingFacts(waiting),
    ]);
  }
  return voice.facts([
    ['record', { text: `broken at entry ${verdict.seq}`, tone: 'bad' }],
    ['reason', verdict.reason],
    ['sound', `${countOf(verdict.count, 'entry', 'entries')} before it`],
    ...waitingFacts(waiting),
  ]);
}

function addExport(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'export',
    'Write the whole record to standard output as JSON Lines, with all that verifying it elsewhere takes.',
    ['portcullis audit export > audit.jsonl'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const { stdout } = context.io;
    await withLook(context, async (installation) => {
      await requireActing(context, installation, 'verify-audit');
      let count = 0;
      for await (const line of exportAudit(installation.control)) {
        stdout.write(line);
        await stdout.drained();
        if (stdout.closed) return;
        count += 1;
      }
      voice.note(`exported ${countOf(count, 'entry', 'entries')}`);
    });
  });
}
