import { type Command, Option } from 'commander';

/**
 * A command that does something (and does not only hold others): it takes `--json` and `--verbose`, and its
 * help ends in examples.
 */
export function leaf(
  parent: Command,
  nameAndArguments: string,
  description: string,
  examples: readonly string[],
): Command {
  return withCommonOptions(parent.command(nameAndArguments))
    .description(description)
    .summary(summaryOf(description))
    .addHelpText(
      'after',
      `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map(exampleText).join('')}`,
    );
}

/** Where a line of an example ends, its ` \\` included. */
const EXAMPLE_COLUMNS = 80;

/** A command to copy, continued where it is longer than a terminal is wide: before an option, so never within quotes. */
function exampleText(example: string): string {
  const lines: string[] = [];
  let line = '  $';
  for (const part of example.split(/ (?=--)/)) {
    if (line !== '  $' && line.length + part.length + 3 > EXAMPLE_COLUMNS) {
      lines.push(`${line} \\`);
      line = '     ';
    }
    line += ` ${part}`;
  }
  return [...lines, line, ''].join('\n');
}

/** What the list of commands says of one: its first sentence, without the full stop. */
function summaryOf(description: string): string {
  return description.replace(/\.(\s[^]*)?$/, '');
}

/** A command that holds others. */
export function group(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).summary(summaryOf(description));
}

export function withCommonOptions(command: Command, hidden = false): Command {
  return command
    .addOption(new Option('--json', 'answer for programs: JSON, one object on a line').hideHelp(hidden))
    .addOption(new Option('--verbose', 'with errors, show where they came from').hideHelp(hidden));
}
