import type { Command } from 'commander';
import { COMMAND_RIGHTS, pathOf } from '../../../src/cli/permissions.js';
import { code, headOf } from './markdown.js';

/** docs/reference/cli.md: every command, with the help that it prints. */
export function cliPage(program: Command): string {
  const leaves = program.commands.flatMap((command) => leavesOf(command));
  const contents = leaves.map((command) => {
    const path = pathOf(command);
    return `- [\`portcullis ${path}\`](#portcullis-${path.replaceAll(' ', '-')}): ${command.summary()}`;
  });
  return `${headOf('Command line', 'the commands themselves')}

\`npx portcullis\` in a checkout or beside an installed package, \`portcullis\` where it is installed globally.

Exit codes: 0 done, 1 failed or refused, 2 usage, 3 held or killed. Results go to standard output; notes, progress and errors go to standard error. With \`--json\` a command answers with one JSON object on a line, and errors are \`{"error": {code, message, hint}}\`: see [errors](errors.md).

${contents.join('\n')}

${leaves.map((command) => section(command)).join('\n\n')}
`;
}

function leavesOf(command: Command): Command[] {
  const visible = command.createHelp().visibleCommands(command);
  const below = command.commands.filter((each) => visible.includes(each));
  return below.length === 0 ? [command] : below.flatMap((each) => leavesOf(each));
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
