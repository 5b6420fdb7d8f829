import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { type AuditFilter } from '../../audit/browse-audit.js';
import { headText, parseHead, type AuditHead, type ChainVerdict } from '../../audit/chain.js';
import { auditLine, verifyLines } from '../../audit/lines.js';
import { PortcullisError, messageOf } from '../../kernel/errors.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { instant } from '../instant.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { limitOption, showList } from '../listing.js';
import { withProgress } from '../progress.js';
import { unrecordedText } from '../../regions/databases.js';
import type { Cell } from '../table.js';
import { evidenceText } from '../wording.js';
import { countOf, time } from '../../kernel/words.js';
import type { ChainedEntry } from '../../audit/entry.js';

export function addAudit(program: Command, context: Context): void {
  const audit = group(program, 'audit', 'Search, verify and export the record of every decision.');
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
      evidenceText(entry.evidence),
    ]),
  );
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
      const verified = await withProgress(context.io.stderr, 'verifying', (): Promise<Verified> =>
        file === undefined
          ? withInvoke(context, 'look', (invoke) =>
              invoke('verifyAudit', {
                ...(expectHead !== undefined && { expectHead: headText(expectHead) }),
              }),
            )
          : verifyFile(resolve(file), expectHead).then(fileVerdict),
      );
      voice.result(verified, () => verdictText(voice, verified));
      if (!verified.ok) context.io.exitWith(1);
    });
}

/** What a verification answers; that of a file knows of nothing that waits. */
type Verified = Omit<OutputOf<Operations['verifyAudit']>, 'waiting'> &
  Partial<Pick<OutputOf<Operations['verifyAudit']>, 'waiting'>>;

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

function fileVerdict(verdict: ChainVerdict): Verified {
  return verdict.ok ? { ...verdict, head: headText(verdict.head) } : verdict;
}

function waitingFacts(waiting: Verified['waiting']): [string, Cell][] {
  if (waiting === undefined) return [];
  const { unreachable } = waiting;
  const text = unrecordedText(waiting);
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

function verdictText(voice: Voice, { ok, count, head = '', seq, reason = '', waiting }: Verified): string {
  const entries = countOf(count, 'entry', 'entries');
  return voice.facts([
    ...(ok
      ? [['record', { text: `whole: ${entries}`, tone: 'good' as const }] as const, ['head', head] as const]
      : [
          ['record', { text: `broken at entry ${seq ?? ''}`, tone: 'bad' as const }] as const,
          ['reason', reason] as const,
          ['sound', `${entries} before it`] as const,
        ]),
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
    await withInvoke(context, 'look', async (invoke) => {
      let count = 0;
      for await (const entry of await invoke('exportAudit', {})) {
        stdout.write(`${auditLine(entry)}\n`);
        await stdout.drained();
        if (stdout.closed) return;
        count += 1;
      }
      voice.note(`exported ${countOf(count, 'entry', 'entries')}`);
    });
  });
}
