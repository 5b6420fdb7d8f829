import type { Command } from 'commander';
import { COMMAND_RIGHTS, pathOf } from '../../../src/cli/permissions.js';
import { EXIT_MEANINGS } from '../../../src/cli/exit.js';
import { code, headOf, tableOf } from './markdown.js';

/** docs/reference/cli.md: every command, with the help that it prints. */
export function cliPage(program: Command): string {
  const leaves = program.commands.flatMap((command) => leavesOf(command));
  const contents = leaves.map((command) => {
    const path = pathOf(command);
    return `- [\`portcullis ${path}\`](#portcullis-${path.replaceAll(' ', '-')}): ${command.summary()}`;
  });
  const exitCodes = tableOf(
    ['exit code', 'meaning'],
    Object.entries(EXIT_MEANINGS).map(([exit, meaning]) => [exit, meaning]),
  );
  return `${headOf('Command line', 'the commands themselves')}

\`npx portcullis\` in a checkout or beside an installed package, \`portcullis\` where it is installed globally.

${exitCodes}

Results go to standard output; notes, progress and errors go to standard error. With \`--json\` a command answers with one JSON object on a line, and errors are \`{"error": {code, message, hint}}\`: see [errors](errors.md).

${contents.join('\n')}

${leaves.map((command) => section(command)).join('\n\n')}
`;
}

function leavesOf(command: Command): Command[] {
  const visible = command.createHelp().visibleCommands(command);
  const below = command.commands.filter((each) => visible.includes(each));
  // `run` does something itself, and has `run show` below it.
  const own = below.length === 0 || pathOf(command) in COMMAND_RIGHTS ? [command] : [];
  return [...own, ...below.flatMap((each) => leavesOf(each))];
}

function section(command: Command): string {
  const path = pathOf(command);
  const takes = (COMMAND_RIGHTS as Readonly<Record<string, string>>)[path];
  const permission =
    takes === undefined
      ? []
      : takes === 'anyone' || takes === 'process'
        ? []
        : [`Permission: [${code(takes)}](permissions.md).`];
  return [`## portcullis ${path}`, ...permission, `\`\`\`text\n${helpOf(command)}\n\`\`\``].join('\n\n');
}

/** What `--help` prints, with the examples behind it. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => (text += part),
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trim();
}
