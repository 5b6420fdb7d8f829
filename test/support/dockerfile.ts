/** One instruction of a Dockerfile: `COPY`, and what stands behind it, on one line. */
export interface Instruction {
  readonly name: string;
  readonly words: string;
}

export interface Stage {
  /** The name behind `AS`; undefined where it has none. */
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile in order. Throws where an instruction stands before the first. */
export function stagesOf(dockerfile: string): Stage[] {
  const lines = dockerfile
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .trim()
    .split('\n');
  const stages: { name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [name = '', ...rest] = line.trim().split(/\s+/);
    if (name === 'FROM') {
      stages.push({ name: rest[1] === 'AS' ? rest[2] : undefined, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (!stage) throw new Error(`no FROM stands before: ${line}`);
    stage.instructions.push({ name, words: rest.join(' ') });
  }
  return stages;
}

export interface Copy {
  /** The stage that it copies from; undefined: from the build's context. */
  readonly from: string | undefined;
  readonly sources: readonly string[];
  readonly to: string;
}

/** What a `COPY` copies. Throws for an option other than `--from`. */
export function copyOf(words: string): Copy {
  const all = words.split(' ');
  const [option, ...others] = all.filter((word) => word.startsWith('--'));
  if (others.length > 0 || (option !== undefined && !option.startsWith('--from=')))
    throw new Error(`COPY with an option that is not understood: ${words}`);
  const paths = all.filter((word) => !word.startsWith('--'));
  return { from: option?.slice('--from='.length), sources: paths.slice(0, -1), to: paths.at(-1) ?? '' };
}
