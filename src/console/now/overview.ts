import { effect } from '@preact/signals';
import { call, me } from '../api.js';
import { watch, type Watched } from '../live/watched.js';
import type { Change } from '../live/stream.js';
import type { Job, Overview, Place } from './place.js';

export type { Job, Overview, Place };

/** Permits are renewed, and expire, without being told. */
const EVERY_MS = 5_000;
/** Of changes to more jobs than this, everything is read. */
const FEW_JOBS = 3;
const PART_GATES = 500;

let watching: Watched<Overview> | undefined;

/** Every gate, as it is now: read once for all views, as long as somebody is signed in. */
export function overview(): Watched<Overview> {
  return (watching ??= watch({ read, affects: ({ kind }) => kind !== 'approval', everyMs: EVERY_MS }));
}

effect(() => {
  if (me.value != null) return;
  watching?.stop();
  watching = undefined;
});

/** Reads only the jobs that changed, where these are few. */
async function read(
  changes: readonly Change[] | undefined,
  before: Overview | undefined,
  show: (part: Overview) => void,
): Promise<Overview> {
  const jobs = new Set(changes?.map(({ job }) => job));
  if (before === undefined || changes === undefined || jobs.size > FEW_JOBS || jobs.has(null)) {
    return readAll(before === undefined ? show : () => undefined);
  }
  const parts = await Promise.all([...jobs].map((job) => call('getOverview', { job: job ?? '' })));
  const found = parts.flatMap((part) => part.jobs);
  const kept = before.jobs.filter(({ job }) => !jobs.has(job));
  const [newest = before] = parts;
  return {
    ...newest,
    jobs: [...kept, ...found].sort((one, other) => (one.job < other.job ? -1 : 1)),
  };
}

/** By parts: to take in ten thousand gates at once, the page stands still for half a second. */
async function readAll(show: (part: Overview) => void): Promise<Overview> {
  let all = await call('getOverview', { limit: PART_GATES });
  while (all.next !== null) {
    show(all);
    const { jobs, ...part } = await call('getOverview', { limit: PART_GATES, cursor: all.next });
    all = { ...part, jobs: [...all.jobs, ...jobs] };
  }
  return all;
}

const places = new WeakMap<readonly Job[], readonly Place[]>();
const NONE: readonly Place[] = [];

/** Every gate of these jobs: of the same jobs the same list, so that what is made of it need not be made again. */
export function placesOf(jobs: readonly Job[] | undefined): readonly Place[] {
  if (jobs === undefined) return NONE;
  const known = places.get(jobs);
  if (known !== undefined) return known;
  const made = jobs.flatMap((job) => job.gates.map((gate) => ({ job, gate })));
  places.set(jobs, made);
  return made;
}
