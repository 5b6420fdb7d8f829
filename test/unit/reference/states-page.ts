import { INCIDENT_STATES } from '../../../src/incidents/incident-states.js';
import { ROLLOUT_STATES } from '../../../src/rollout/rollout-states.js';
import { RUN_STATES } from '../../../src/runs/run-states.js';
import { code, headOf, sentence, tableOf } from './markdown.js';

type States = Readonly<Record<string, { readonly meaning: string; readonly next: readonly string[] }>>;

/** docs/reference/states.md: the state tables, each drawn. */
export function statesPage(): string {
  return `${headOf('States', 'src/runs/run-states.ts, src/rollout/rollout-states.ts and src/incidents/incident-states.ts')}

Portcullis makes no other transition than these.

## Runs

A run is active while it is \`planning\` or \`applying\`. Why it ended stands in its \`reason\`.

${statesOf(RUN_STATES)}

## Rollouts

A job has at most one rollout under way (\`running\` or \`paused\`).

${statesOf(ROLLOUT_STATES)}

## Incidents

Only \`closed\` is final. An incident is \`open\` again as soon as a region joins it in which the job is not stopped.

${statesOf(INCIDENT_STATES)}
`;
}

function statesOf(states: States): string {
  const arrows = Object.entries(states).flatMap(([from, { next }]) =>
    next.length === 0 ? [`  ${from} --> [*]`] : next.map((to) => `  ${from} --> ${to}`),
  );
  return [
    tableOf(
      ['state', 'meaning', 'next'],
      Object.entries(states).map(([name, { meaning, next }]) => [
        code(name),
        sentence(meaning),
        next.map(code).join(', '),
      ]),
    ),
    `\`\`\`mermaid\nstateDiagram-v2\n  [*] --> ${Object.keys(states)[0] ?? ''}\n${arrows.join('\n')}\n\`\`\``,
  ].join('\n\n');
}
