import type { Command } from 'commander';
import { PortcullisError } from '../../kernel/errors.js';
import { voiceOf, type Context } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';

export function addJob(program: Command, context: Context): void {
  const job = group(program, 'job', 'What jobs let people do with their own tables besides their runs.');
  addCommands(job, context);
  addDo(job, context);
}

function addCommands(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'commands <job>',
    'List the commands that a job brings, and what each takes.',
    ['portcullis job commands domain-claim'],
  ).action(async (job: string) => {
    const voice = voiceOf(context, command);
    const { items } = await withInvoke(context, 'look', (invoke) => invoke('listJobCommands', { job }));
    voice.result({ commands: items }, () =>
      items.length === 0
        ? `${job} brings no commands\n`
        : voice.table(
            [{ title: 'command' }, { title: 'does' }, { title: 'takes' }],
            items.map(({ name, summary, takes }) => [
              name,
              summary,
              Object.entries(takes)
                .map(([each, is]) => `${each}: ${is}`)
                .join('; '),
            ]),
          ),
    );
  });
}

function addDo(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'do <job> <command> [given...]',
    "Do what a command of a job does with the job's own tables. It is an edit like any other of the application's: it is not judged, journaled or restored. What it is given is written as name=value.",
    ['portcullis job do domain-claim check domain=acme.com --region eu-west-1'],
  )
    .option('-r, --region <region>', 'only in this region')
    .action(async (job: string, name: string, given: string[], { region }: { region?: string }) => {
      const voice = voiceOf(context, command);
      const order = { job, command: name, given: givenOf(given), ...(region !== undefined && { region }) };
      const { done, unreachable } = await withInvoke(context, 'change', (invoke) =>
        invoke('doJobCommand', order),
      );
      const columns = [...new Set(done.flatMap((row) => Object.keys(row)))];
      voice.result({ done, unreachable }, () =>
        voice.table(
          columns.map((title) => ({ title })),
          done.map((row) => columns.map((column) => row[column] ?? '')),
        ),
      );
      for (const database of unreachable) voice.note(`without ${database}, which cannot be reached`);
    });
}

/** `domain=acme.com`: the first `=` ends the name. */
function givenOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((each) => {
      const [name, value] = /^([^=]+)=(.+)$/su.exec(each)?.slice(1) ?? [];
      if (name !== undefined && value !== undefined) return [name, value];
      throw new PortcullisError('USAGE_INVALID', `${JSON.stringify(each)} is not name=value`, {
        hint: 'portcullis job commands JOB lists what each command takes',
      });
    }),
  );
}
