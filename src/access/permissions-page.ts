import { MAY_DO, ROLES, type Action, type Standing } from './roles.js';

/** One thing that can be done: a command, or a call of the API. */
export interface Operation {
  readonly name: string;
  readonly takes: Action | 'process' | 'anyone';
}

const COLUMNS: readonly Standing[] = [...ROLES, 'local'];

/** docs/reference/permissions.md, from the tables that are in force. */
export function permissionsPage(commands: readonly Operation[], calls: readonly Operation[]): string {
  const actions = Object.keys(MAY_DO) as Action[];
  const namesOf = (operations: readonly Operation[], action: Operation['takes']): string =>
    operations
      .filter(({ takes }) => takes === action)
      .map(({ name }) => `\`${name}\``)
      .join(', ');
  const yes = (action: Action, role: Standing): string =>
    (MAY_DO[action] as readonly Standing[]).includes(role) ? 'yes' : '';
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string =>
    [row(titles), row(titles.map(() => '---')), ...rows.map(row)].join('\n');
  return `# Permissions

<!-- Made from src/access/roles.ts, src/cli/permissions.ts and the table of routes. To make it again: UPDATE_DOCS=1 npm test -- test/http/permissions.test.ts -->

Every command and every call of the API takes one permission. \`local\` is a user with the database's login and no token.

${table(
  ['permission', ...COLUMNS],
  actions.map((action) => [`\`${action}\``, ...COLUMNS.map((role) => yes(action, role))]),
)}

- A token that is bound to regions (\`--regions\`) uses its permissions there alone, and for nothing that reaches every region. \`read\`, \`verify-audit\` and \`cancel\` are not narrowed by it.
- \`approve\` also takes a [second person](people.md): a machine never approves, whatever its role.
- \`restore --dry-run\` takes \`read\`. A user without a token may replace a lost admin token: \`tokens issue admin --role admin --replace\`.
- \`reject\` of a request that does not approve itself takes \`approve\`.
- A token in \`PORTCULLIS_TOKEN\` that is not valid fails every command that opens a database.

## Operations

${table(
  ['permission', 'commands', 'calls'],
  actions.map((action) => [`\`${action}\``, namesOf(commands, action), namesOf(calls, action)]),
)}

These take none: ${namesOf(commands, 'anyone')}; ${namesOf(calls, 'anyone')}. These act as Portcullis itself, with the database's login: ${namesOf(commands, 'process')}.
`;
}
