import type { Command } from 'commander';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';

export function addMe(program: Command, context: Context): void {
  const command = leaf(program, 'me', 'Show whose token you act with, and what it may do where.', [
    'portcullis me',
    'portcullis me --json',
  ]).action(async () => {
    const voice = voiceOf(context, command);
    // A look at a database of whatever schema knows no people.
    const me = await withInvoke(context, 'change', (invoke) => invoke('getMe', {}));
    voice.result(me, () => meText(voice, me, context.server?.()?.url));
  });
}

function meText(
  voice: Voice,
  { name, role, regions, person, may }: OutputOf<Operations['getMe']>,
  url: string | undefined,
): string {
  const whose =
    role === 'local' ? 'nobody: you act without a token' : (person ?? 'a machine, which never approves');
  return [
    voice.facts([
      ['name', name],
      ['person', whose],
      ['role', role === 'local' ? 'none: you may look, kill and stop' : role],
      ['regions', regions?.join(', ') ?? 'all'],
      ['at', url ?? 'the database itself'],
    ]),
    voice.table(
      [{ title: 'may' }, { title: 'where' }],
      may.map((each) => [each.action, each.regions?.join(', ') ?? 'everywhere']),
    ),
  ].join('\n');
}
