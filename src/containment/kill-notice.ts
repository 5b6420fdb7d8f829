import { unchangedElsewhere } from '../flags/flags-elsewhere.js';
import { unreachedText, type KillReport, type KillRequest } from './kill.js';
import type { Notice } from '../notify/notice.js';

/** What people are told of a kill, complete or not. */
export function killNotice(
  {
    job,
    killed,
    failed,
    flagsAt,
  }: Pick<KillReport, 'job' | 'killed' | 'failed'> & { readonly flagsAt?: string },
  {
    version,
    reason,
    restoresToo = false,
    drill = false,
  }: Pick<KillRequest, 'version' | 'reason' | 'restoresToo' | 'drill'>,
  by: string,
  incident: string,
): Notice {
  const what = version === undefined ? job : `${job} ${version}`;
  const regions = [...killed, ...failed].map(({ region }) => region).sort();
  const stopped = killed.map(({ region }) => region).sort();
  const [only] = regions;
  return {
    kind: 'kill',
    job,
    ...(only !== undefined && regions.length === 1 && { region: only }),
    title: `${drill ? 'Drill: ' : ''}${
      stopped.length === 0
        ? `${by} wants ${what} killed in ${regions.join(', ')}`
        : `${by} killed ${what} in ${stopped.join(', ')}`
    }`,
    lines: [
      reason,
      ...(stopped.length === 0
        ? []
        : [`No change of it commits there any more${restoresToo ? ', and no restore' : ''}.`]),
      ...failed.map((each) => `${unreachedText(job, each, version)}.`),
      ...(flagsAt === undefined ? [] : [unchangedElsewhere(flagsAt, job, regions)]),
      `More: portcullis incident show ${incident}`,
    ],
    details: {
      ...{ incident, version: version ?? null, reason, by, restoresToo, drill, killed: stopped },
      failed: failed.map(({ region, reason: why, lapsesBy }) => ({ region, reason: why, lapsesBy })),
    },
  };
}
