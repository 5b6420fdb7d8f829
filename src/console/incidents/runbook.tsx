import { whyNot, type Me, type Output } from '../api.js';
import { dialog, type OpenDialog } from '../dialogs.js';
import { Copyable } from '../parts/copy.js';
import type { Incident } from './incident-state.js';

type Step = Output<'getIncidentRunbook'>['steps'][number];
type Act = NonNullable<Step['act']>;

/** What to do now, in order: each step with its commands, and a button where the console can do it. */
export function Runbook({
  incident,
  steps,
  page,
}: {
  readonly incident: Incident;
  readonly steps: readonly Step[];
  /** What the job says of its changes, in Markdown. */
  readonly page: string | null;
}) {
  const next = nextOf(steps);
  return (
    <section aria-labelledby="runbook">
      <h2 id="runbook">Runbook</h2>
      <ol class="steps">
        {steps.map((step) => (
          <li
            key={step.title}
            class={step.done ? 'step-done' : next.includes(step) ? 'step-next' : undefined}
            aria-current={next.includes(step) ? 'step' : undefined}
          >
            <h3>
              {step.done && (
                <>
                  <span aria-hidden="true">✓ </span>
                  <span class="sr">done: </span>
                </>
              )}
              {step.title}
            </h3>
            {step.act !== null && <Buttons incident={incident} act={step.act} done={step.done} />}
            <details open={next.includes(step)}>
              <summary class="quiet">Commands</summary>
              {step.commands.map((command) => (
                <Copyable key={command} text={command} what="the command" />
              ))}
              <p class="hint">Expect: {step.expect}</p>
            </details>
          </li>
        ))}
      </ol>
      {page !== null && (
        <details>
          <summary>About the changes of {incident.job}</summary>
          <pre class="page">{page}</pre>
        </details>
      )}
    </section>
  );
}

/** What to do now: the first step that everything after it waits for, and before it what may be looked at. */
function nextOf(steps: readonly Step[]): readonly Step[] {
  const open = steps.filter(({ done }) => !done);
  const needed = open.findIndex((step) => step.needed);
  return open.filter((_, at) => needed === -1 || at <= needed);
}

interface Button {
  readonly name: string;
  readonly action: Me['may'][number]['action'];
  readonly region?: string;
  readonly kind?: 'danger' | 'primary';
  readonly opens: OpenDialog;
  /** Why it makes no sense now. */
  readonly idle?: string | undefined;
}

function buttonsOf(incident: Incident, act: Act): readonly Button[] {
  const { job, regions, state } = incident;
  const closed = state === 'closed' ? 'the incident is closed.' : undefined;
  switch (act) {
    case 'kill':
      return regions
        .filter(({ containedAt }) => containedAt === null)
        .map(({ region }) => ({
          ...{
            name: `Kill ${region}…`,
            action: 'kill',
            region,
            kind: 'danger',
            opens: { kind: 'kill', job, region },
          },
        }));
    case 'include':
      return [
        {
          ...{ name: 'Name a bad run…', action: 'manage-incident', idle: closed },
          opens: { kind: 'include-run', incident },
        },
      ];
    case 'restore':
      return [
        {
          name: 'Put it back…',
          kind: 'primary',
          action: 'restore',
          idle: closed,
          opens: { kind: 'restore-incident', incident },
        },
      ];
    case 'rearm':
      return regions.map(({ region }) => ({
        ...{
          name: `Re-arm ${region}…`,
          action: 'request-rearm',
          region,
          opens: { kind: 'rearm', job, region },
        },
      }));
    case 'close':
      return [
        {
          ...{ name: 'Close the incident…', action: 'manage-incident', idle: closed },
          opens: { kind: 'close-incident', incident },
        },
      ];
  }
}

interface ButtonsProps {
  readonly incident: Incident;
  readonly act: Act;
  readonly done: boolean;
}

function Buttons({ incident, act, done }: ButtonsProps) {
  const buttons = buttonsOf(incident, act).map((button) => ({
    ...button,
    off: button.idle ?? whyNotAnywhere(button, incident),
  }));
  if (buttons.length === 0) return null;
  return (
    <>
      <p class="buttons">
        {buttons.map(({ name, kind, opens, off }) => (
          <button
            key={name}
            type="button"
            class={done ? undefined : kind}
            disabled={off !== undefined}
            onClick={() => (dialog.value = opens)}
          >
            {name}
          </button>
        ))}
      </p>
      {[...new Set(buttons.map(({ off }) => off))].map(
        (off) =>
          off !== undefined && (
            <p key={off} class="hint">
              {off}
            </p>
          ),
      )}
    </>
  );
}

/** An act on the incident reaches all of its regions. */
function whyNotAnywhere({ action, region }: Button, { regions }: Incident): string | undefined {
  const where = region === undefined ? regions.map((each) => each.region) : [region];
  return where.map((each) => whyNot(action, each)).find((why) => why !== undefined);
}
