import type { Argument, Command, Option } from 'commander';
import { INSTALLED } from '../kernel/version-named.js';
import type { Names } from './app-port.js';

/** A word that may stand where the cursor is; `about` is shown beside it by shells that can. */
export interface Candidate {
  readonly word: string;
  readonly about?: string;
}

/** What may stand where the cursor is; `files`: a path. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly files: boolean;
}

const NOTHING: Completion = { candidates: [], files: false };

/**
 * What may stand in place of the last of `words`, which is what was typed of it so far, after those before it. From
 * the program itself, so that it is never another one than help shows; `names` is asked only where a name can stand.
 */
export async function complete(
  program: Command,
  words: readonly string[],
  names: () => Promise<Names>,
): Promise<Completion> {
  const typed = words.at(-1) ?? '';
  const { command, given, awaiting, onlyArguments, job } = walk(program, words.slice(0, -1));
  const all = await (async (): Promise<Completion> => {
    if (awaiting) return valuesOf(awaiting, awaiting.long ?? '', job, names);
    if (typed.startsWith('-') && !onlyArguments) return { ...NOTHING, candidates: optionsOf(command) };
    const commands = given.length === 0 ? commandsOf(command) : [];
    const argument = argumentAt(command, given.length);
    const values = argument && (await valuesOf(argument, argument.name(), job, names));
    return { candidates: [...commands, ...(values?.candidates ?? [])], files: values?.files ?? false };
  })();
  return { ...all, candidates: all.candidates.filter(({ word }) => word.startsWith(typed)) };
}

interface Place {
  readonly command: Command;
  /** The arguments before the cursor. */
  readonly given: readonly string[];
  /** The option whose value is typed. */
  readonly awaiting: Option | undefined;
  /** Whether `--` came before. */
  readonly onlyArguments: boolean;
  /** The job that the command line names, whose versions are meant. */
  readonly job: string | undefined;
}

function walk(program: Command, words: readonly string[]): Place {
  let command = program;
  let given: string[] = [];
  let awaiting: Option | undefined;
  let onlyArguments = false;
  let job: string | undefined;
  for (const word of words) {
    if (awaiting) {
      if (awaiting.long === '--job') job = word;
      awaiting = undefined;
    } else if (word === '--' && !onlyArguments) {
      onlyArguments = true;
    } else if (word.startsWith('-') && !onlyArguments) {
      const option = command.options.find(({ long, short }) => [long, short].includes(word));
      if (option?.required || option?.optional) awaiting = option;
    } else {
      const below = given.length === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (below) {
        command = below;
        given = [];
      } else {
        if (argumentAt(command, given.length)?.name() === 'job') job = word;
        given.push(word);
      }
    }
  }
  return { command, given, awaiting, onlyArguments, job };
}

function argumentAt(command: Command, at: number): Argument | undefined {
  const last = command.registeredArguments.at(-1);
  return command.registeredArguments[at] ?? (last?.variadic ? last : undefined);
}

function commandsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((each) => ({ word: each.name(), about: each.summary() || each.description() }));
}

function optionsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleOptions(command);
  return visible.flatMap(({ long, description }) => (long ? [{ word: long, about: description }] : []));
}

async function valuesOf(
  { argChoices }: Pick<Option | Argument, 'argChoices'>,
  name: string,
  job: string | undefined,
  names: () => Promise<Names>,
): Promise<Completion> {
  const words = (of: readonly string[]): Completion => ({
    files: false,
    candidates: [...new Set(of)].map((word) => ({ word })),
  });
  if (argChoices !== undefined) return words(argChoices);
  switch (name) {
    case 'job':
    case '--job':
      return words((await names()).jobs);
    case '--region':
    case '--regions':
      return words((await names()).regions);
    case '--version': {
      const known = (await names()).versions.filter((each) => job === undefined || each.job === job);
      return words([...known.map(({ version }) => version), INSTALLED]);
    }
    case 'folder':
    case '--file':
      return { candidates: [], files: true };
  }
  return NOTHING;
}

/** What stands on a line where a path may be typed. */
const FILES = ':files';

/** For the scripts of the shells: a candidate a line, with what it is about after a tab. */
export function completionLines({ candidates, files }: Completion): string {
  const lines = candidates.map(({ word, about }) =>
    about === undefined ? word : `${word}\t${about.replaceAll(/\s+/g, ' ')}`,
  );
  return [...lines, ...(files ? [FILES] : [])].map((line) => `${line}\n`).join('');
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What makes a shell ask the program itself, whichever version of it is installed. */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# portcullis completion for bash: source <(portcullis completion bash)
_portcullis() {
  local word about
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    if [[ $word == ${FILES} ]]; then
      compopt -o default
    else
      COMPREPLY+=("$word")
    fi
  done < <("\${COMP_WORDS[0]}" completion candidates -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _portcullis portcullis
`,
  zsh: `#compdef portcullis
# portcullis completion for zsh: source <(portcullis completion zsh), after compinit
_portcullis() {
  local line word
  local -a candidates
  for line in "\${(@f)$("\${words[1]}" completion candidates -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    word=\${line%%$'\\t'*}
    if [[ $word == ${FILES} ]]; then
      _files
    elif [[ $line == *$'\\t'* ]]; then
      candidates+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
    elif [[ -n $word ]]; then
      candidates+=("\${word//:/\\\\:}")
    fi
  done
  (( $#candidates )) && _describe portcullis candidates
}
compdef _portcullis portcullis
`,
  fish: `# portcullis completion for fish: portcullis completion fish | source
function __portcullis_candidates
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program completion candidates -- $words "$typed" 2>/dev/null)
        if test "$line" = ${FILES}
            __fish_complete_path "$typed"
        else
            echo $line
        end
    end
end
complete -c portcullis -f -a '(__portcullis_candidates)'
`,
};
