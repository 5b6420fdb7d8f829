import { Option, type Command } from 'commander';
import type { Person } from '../../access/people.js';
import { PEOPLE_ROLES, type PersonRole } from '../../access/roles.js';
import { UNINTRODUCED } from '../../access/second-person.js';
import { countOf, listOf, time } from '../../kernel/words.js';
import { confirmed, yesOption } from '../confirm.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { listUpTo } from '../../client/client.js';
import type { Tone } from '../tone.js';

export function addPeople(program: Command, context: Context): void {
  const people = group(program, 'people', 'Add, list and remove the people who hold tokens.');
  addAdd(people, context);
  addList(people, context);
  addRemove(people, context);
  addLink(people, context);
  addUnlink(people, context);
}

interface IdentityOptions {
  readonly issuer: string;
  readonly subject: string;
}

const identified = (command: Command): Command =>
  command
    .requiredOption('--issuer <url>', 'the URL of the identity provider')
    .requiredOption('--subject <sub>', 'what it calls them, and nobody else');

function addLink(parent: Command, context: Context): void {
  const command = identified(
    leaf(
      parent,
      'link <name>',
      "Say that a person and an identity provider's user are one human. Four eyes count them as one from then on.",
      ['portcullis people link bob --issuer https://id.example --subject 248289761001'],
    ),
  ).action(async (name: string, identity: IdentityOptions) => {
    const voice = voiceOf(context, command);
    await withInvoke(context, 'change', async (invoke) => {
      const linked = await invoke('linkIdentity', { name, ...identity });
      voice.result(linked, () => `${name} is ${linked.subject} of ${linked.issuer}\n`);
    });
  });
}

function addUnlink(parent: Command, context: Context): void {
  const command = identified(
    leaf(parent, 'unlink', 'End the link of a person to an identity, and the sessions begun by it.', [
      'portcullis people unlink --issuer https://id.example --subject 248289761001',
    ]),
  ).action(async (identity: IdentityOptions) => {
    const voice = voiceOf(context, command);
    await withInvoke(context, 'change', async (invoke) => {
      const unlinked = await invoke('unlinkIdentity', { ...identity });
      voice.result(
        unlinked,
        () => `${unlinked.name} is no longer ${unlinked.subject} of ${unlinked.issuer}\n`,
      );
    });
  });
}

interface AddOptions {
  readonly role: PersonRole;
  readonly regions?: string;
  readonly replace?: boolean | undefined;
}

function addAdd(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'add <name>',
    'Add a person, and print a code that they redeem on their own: portcullis login. It is shown this once, and is valid for 24 hours.',
    [
      'portcullis people add bob --role approver',
      'portcullis people add carol --role operator --regions eu-west-1,eu-west-2',
      'portcullis people add bob --role approver --replace',
    ],
  )
    .addOption(
      new Option('--role <role>', 'what they may do').choices(PEOPLE_ROLES).makeOptionMandatory(true),
    )
    .option('--regions <regions>', 'the only regions to act in, separated by commas; without it, all')
    .option('--replace', 'end the tokens of the person of that name, and give them a new code')
    .action(async (name: string, { role, regions, replace }: AddOptions) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const order = { name, role, replace, regions: regions?.split(',').map((each) => each.trim()) };
        const invited = await invoke('addPerson', order);
        voice.note(
          `code for ${name}, shown this once, valid until ${time(invited.expiresAt)}; they redeem it with portcullis login:`,
        );
        voice.result(invited, () => `${invited.code}\n`);
      });
    });
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list',
    'List people: what they may do where, when they were last seen, their tokens, and who introduced them.',
    ['portcullis people list'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const { items: people } = await withInvoke(context, 'look', (invoke) =>
      listUpTo(Infinity, (page) => invoke('listPeople', page)),
    );
    voice.result({ people }, () => peopleText(voice, people));
  });
}

function addRemove(parent: Command, context: Context): void {
  const command = leaf(parent, 'remove <name>', 'Remove a person, and end all their tokens at once.', [
    'portcullis people remove bob',
  ])
    .addOption(yesOption())
    .action(async (name: string, { yes }: { readonly yes?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const me = await invoke('getMe', {});
        if (me.person === name) {
          await confirmed(context, yes, `${name} is you: this ends the token that you act with`);
        }
        const { tokens: ended } = await invoke('removePerson', { name });
        voice.result({ name, removed: true, tokens: ended }, () =>
          ended.length === 0
            ? `${name} is removed\n`
            : `${name} is removed; ${countOf(ended.length, 'token')} revoked: ${listOf(ended)}\n`,
        );
      });
    });
}

const TONES: Readonly<Record<Person['state'], Tone>> = {
  known: 'good',
  invited: 'warning',
  expired: 'quiet',
  removed: 'quiet',
};

export function peopleText(voice: Voice, people: readonly Person[]): string {
  if (people.length === 0) return 'No people; portcullis start adds the first\n';
  return voice.table(
    [
      ...[{ title: 'name' }, { title: 'role' }, { title: 'regions', below: 1 }, { title: 'state' }],
      ...[
        { title: 'since', below: 4 },
        { title: 'last seen', below: 3 },
        { title: 'introduced by', below: 5 },
        { title: 'tokens', below: 2 },
        { title: 'signs in as', below: 6 },
      ],
    ],
    people.map((person) => [
      person.name,
      person.role,
      person.regions?.join(', ') ?? 'all',
      { text: person.state, tone: TONES[person.state] },
      time(person.removedAt ?? person.knownSince ?? person.addedAt),
      person.lastSeenAt === null ? 'never' : time(person.lastSeenAt),
      introduction(person),
      person.tokens.join(', '),
      person.identities.flatMap(signInText).join('; '),
    ]),
  );
}

/** What the provider's groups gave them at the last sign-in. */
function signInText({ role, regions, groups }: Person['identities'][number]): string[] {
  if (role === null) return [];
  return [`${role}${regions === null ? '' : ` in ${regions.join(', ')}`} (${groups.join(', ')})`];
}

function introduction({ introducedBy, knownBy }: Person): string {
  const names = introducedBy.join(', ');
  if (knownBy === 'upgrade') return names === '' ? 'the upgrade' : `${names}, before the upgrade`;
  return (knownBy === null ? undefined : UNINTRODUCED[knownBy]) ?? names;
}
