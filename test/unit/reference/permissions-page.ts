import { MAY_DO, ROLES, type Action, type Standing } from '../../../src/access/roles.js';
import { code, headOf, tableOf } from './markdown.js';

/** A command, or a call of the API, with the permission that it takes. */
export interface Permitted {
  readonly name: string;
  readonly takes: Action | 'process' | 'anyone';
}

const COLUMNS: readonly Standing[] = [...ROLES, 'local'];

/** docs/reference/permissions.md, from the tables that are in force. */
export function permissionsPage(commands: readonly Permitted[], calls: readonly Permitted[]): string {
  const actions = Object.keys(MAY_DO) as Action[];
  const namesOf = (those: readonly Permitted[], action: Permitted['takes']): string =>
    those
      .filter(({ takes }) => takes === action)
      .map(({ name }) => code(name))
      .join(', ');
  const yes = (action: Action, role: Standing): string =>
    (MAY_DO[action] as readonly Standing[]).includes(role) ? 'yes' : '';
  return `${headOf('Permissions', 'src/access/roles.ts, src/cli/permissions.ts and the table of routes')}

Every command and every call of the API takes one permission. \`local\` is a user with the database's login and no token.

${tableOf(
  ['permission', ...COLUMNS],
  actions.map((action) => [code(action), ...COLUMNS.map((role) => yes(action, role))]),
)}

- A token that is bound to regions (\`--regions\`) uses its permissions there alone, and for nothing that reaches every region. \`read\`, \`verify-audit\` and \`cancel\` are not narrowed by it.
- \`approve\` also takes a [second person](people.md): a machine never approves, whatever its role.
- \`restore --dry-run\` takes \`read\`. A user without a token may replace a lost admin token: \`tokens issue admin --role admin --replace\`.
- \`reject\` of a request that does not approve itself takes \`approve\`.
- A token in \`PORTCULLIS_TOKEN\` that is not valid fails every command that opens a database.

## Operations

${tableOf(
  ['permission', 'commands', 'calls'],
  actions.map((action) => [code(action), namesOf(commands, action), namesOf(calls, action)]),
)}

These take none: ${namesOf(commands, 'anyone')}; ${namesOf(calls, 'anyone')}. These act as Portcullis itself, with the database's login: ${namesOf(commands, 'process')}.
`;
}
