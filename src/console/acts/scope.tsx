import type { Signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { overview } from '../now/overview.js';

interface Where {
  readonly job: Signal<string>;
  /** Empty: every region. */
  readonly region: Signal<string>;
}

/** Of which job an act is, and in which of its regions. */
export function Scope({ job, region }: Where) {
  const id = useId();
  const regions = overview().data.value?.jobs.find((each) => each.job === job.value)?.gates ?? [];
  return (
    <div class="fields">
      <JobField job={job} onChosen={() => (region.value = '')} />
      <div class="field">
        <label for={id}>Where</label>
        <select id={id} value={region.value} onChange={(event) => (region.value = event.currentTarget.value)}>
          <option value="">every region</option>
          {regions.map((each) => (
            <option key={each.region}>{each.region}</option>
          ))}
        </select>
      </div>
    </div>
  );
}

interface JobFieldProps {
  readonly job: Signal<string>;
  readonly onChosen?: () => void;
}

export function JobField({ job, onChosen }: JobFieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Job</label>
      <select
        id={id}
        value={job.value}
        onChange={(event) => {
          job.value = event.currentTarget.value;
          onChosen?.();
        }}
      >
        {overview().data.value?.jobs.map((each) => (
          <option key={each.job}>{each.job}</option>
        ))}
      </select>
    </div>
  );
}
