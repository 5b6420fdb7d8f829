import { useSignal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { countOf, quoted } from '../../kernel/words.js';
import { call, whyNot } from '../api.js';
import type { Incident } from '../incidents/incident-state.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Copyable } from '../parts/copy.js';
import { Reason } from '../parts/reason.js';
import { shortRun } from '../parts/run-status.js';
import { ActDialog, DoneDialog, Outcome, useAct, useJob } from './act.js';
import { Scope } from './scope.js';

interface OfIncident {
  readonly incident: Incident;
}

const whyNotIn = ({ regions }: Incident, action: Parameters<typeof whyNot>[0]): string | undefined =>
  regions.map(({ region }) => whyNot(action, region)).find((why) => why !== undefined);

/** Begins to put back what an incident changed. */
export function RestoreIncidentDialog({ incident }: OfIncident) {
  const { id, impact, unitLabel } = incident;
  const reason = useSignal('');
  const act = useAct((text: string, options) => call('restoreIncident', { id, reason: text }, options));
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { restores, left, state } = standing.result;
    return (
      <DoneDialog title="Restores begun">
        <Outcome
          title={`Incident ${id} is ${state}`}
          lines={[
            ...restores.map(({ runId, restore, begun }) => {
              const what = begun ? 'begun' : 'under way already';
              return `Restore ${shortRun(restore)} of run ${shortRun(runId)}: ${what}`;
            }),
            left === 0
              ? 'No other run is left to put back'
              : `${countOf(left, 'run')} behind these: ask again once these have ended`,
          ]}
        />
      </DoneDialog>
    );
  }
  const why = reason.value.trim();
  return (
    <ActDialog
      title={`Put back incident ${id}`}
      act={act}
      input={why === '' ? undefined : why}
      refused={whyNotIn(incident, 'restore')}
      button={{ name: 'Put it back', doing: 'Beginning…', kind: 'primary' }}
    >
      <BeforeAfterTable
        changes={impact.regions.map(({ region, rows, units, restored }) => ({
          place: region,
          now: `${countOf(rows - restored, 'row')} of ${countOf(units, unitLabel.one, unitLabel.many)} as its runs left them`,
          then: 'back to what they were, but for rows that others have changed since',
        }))}
      />
      <p class="hint">In each region the newest run first; a worker there carries it out.</p>
      <Reason value={reason} hint="It stands on record." autofocus />
      <Copyable
        text={`portcullis restore ${id} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Ends an incident, with what came out. */
export function CloseIncidentDialog({ incident }: OfIncident) {
  const { id, state } = incident;
  const conclusion = useSignal('');
  const falseAlarm = useSignal(false);
  const act = useAct((input: { readonly conclusion: string; readonly falseAlarm: boolean }, options) =>
    call('closeIncident', { id, ...input }, options),
  );
  const standing = act.standing.value;
  if (standing.at === 'done') {
    return (
      <DoneDialog title="Incident closed">
        <Outcome title={`Incident ${id} closed`} lines={[standing.result.conclusion ?? '']} />
      </DoneDialog>
    );
  }
  const why = conclusion.value.trim();
  return (
    <ActDialog
      title={`Close incident ${id}`}
      act={act}
      input={why === '' ? undefined : { conclusion: why, falseAlarm: falseAlarm.value }}
      refused={whyNotIn(incident, 'manage-incident')}
      button={{ name: 'Close the incident', doing: 'Closing…', kind: 'primary' }}
    >
      <BeforeAfterTable changes={[{ place: id, now: state, then: 'closed for good' }]} />
      <p class="hint">Gates stay as they are: a killed one is re-armed on its own.</p>
      <Reason value={conclusion} hint="What was wrong: the post-mortem has it." autofocus />
      <label class="check">
        <input
          type="checkbox"
          checked={falseAlarm.value}
          onChange={(event) => (falseAlarm.value = event.currentTarget.checked)}
        />
        A false alarm: nothing was wrong
      </label>
      <Copyable
        text={`portcullis incident close ${id}${falseAlarm.value ? ' --false-alarm' : ''} --conclusion ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Names damage: a bad run, and those after it in its region. */
export function IncludeRunDialog({ incident }: OfIncident) {
  const { id } = incident;
  const field = useId();
  const run = useSignal('');
  const reason = useSignal('');
  const act = useAct((input: { readonly run: string; readonly reason: string }, options) =>
    call('includeRun', { id, ...input }, options),
  );
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { regions } = standing.result;
    return (
      <DoneDialog title="Damage named">
        <Outcome
          title={`Run ${run.value} and those after it belong to ${id}`}
          lines={regions
            .filter(({ damaged }) => damaged)
            .map(({ region, since }) => `${region}: since ${since}`)}
        />
      </DoneDialog>
    );
  }
  const which = run.value.trim();
  const why = reason.value.trim();
  return (
    <ActDialog
      title={`Name a bad run of ${id}`}
      act={act}
      input={which === '' || why === '' ? undefined : { run: which, reason: why }}
      refused={whyNotIn(incident, 'manage-incident')}
      button={{ name: 'Include the run', doing: 'Including…', kind: 'primary' }}
    >
      <p>It and every run after it in its region belong to the incident then, and can be restored with it.</p>
      <div class="field">
        <label for={field}>Run</label>
        <input
          id={field}
          autofocus
          spellcheck={false}
          value={run.value}
          onInput={(event) => (run.value = event.currentTarget.value)}
        />
        <p class="hint">Its id, or the first 4 or more digits of it.</p>
      </div>
      <Reason value={reason} hint="It stands on record." />
      <Copyable
        text={`portcullis incident include ${id} ${which === '' ? 'RUN' : which} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Opens an incident for what a person has noticed; it stops nothing. */
export function OpenIncidentDialog() {
  const field = useId();
  const chosen = useJob();
  const job = chosen.value;
  const region = useSignal('');
  const title = useSignal('');
  const act = useAct(
    (input: { readonly job: string; readonly title: string; readonly regions?: string[] }, options) =>
      call('openIncident', input, options),
  );
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { id, joined } = standing.result;
    return (
      <DoneDialog title={joined ? 'There was one already' : 'Incident opened'}>
        <Outcome
          title={`Incident ${id}`}
          lines={[
            joined ? 'What you saw stands in it' : 'Nothing was stopped: kill the gate if it should be',
          ]}
        />
      </DoneDialog>
    );
  }
  const what = title.value.trim();
  const where = region.value === '' ? {} : { regions: [region.value] };
  return (
    <ActDialog
      title="Open an incident"
      act={act}
      input={what === '' || job === '' ? undefined : { job, title: what, ...where }}
      refused={whyNot('manage-incident', region.value === '' ? undefined : region.value)}
      button={{ name: 'Open the incident', doing: 'Opening…', kind: 'primary' }}
    >
      <p>It gathers what happens from now on, and its runbook. It stops nothing: to stop, kill.</p>
      <Scope job={chosen} region={region} />
      <div class="field">
        <label for={`${field}-title`}>What happened, in one line</label>
        <input
          id={`${field}-title`}
          autofocus
          maxLength={200}
          value={title.value}
          onInput={(event) => (title.value = event.currentTarget.value)}
        />
      </div>
      <Copyable
        text={`portcullis incident open ${job}${region.value === '' ? '' : ` --region ${region.value}`} --title ${quoted(what === '' ? '…' : what)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}
