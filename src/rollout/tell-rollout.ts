import type pg from 'pg';
import type { Approval } from '../access/approvals.js';
import { notify } from '../notify/notice.js';
import type { Rollout } from './rollout-store.js';

/** Tells people that a wave waits for one of them, in the transaction that asks. */
export async function tellOfWave(
  client: pg.PoolClient,
  { id, job, version, startedBy }: Rollout,
  wave: { readonly name: string; readonly regions: readonly string[] },
  request: Approval,
  { lapsed, unchecked }: { readonly lapsed: string | undefined; readonly unchecked: readonly string[] },
): Promise<void> {
  await notify(client, {
    ...{ kind: 'rollout', job },
    title: `the rollout of ${job} ${version} waits for a second person before wave ${wave.name}`,
    lines: [
      `It would begin in ${wave.regions.join(', ')}. Anybody who may approve there can agree, except the person who started it with the token ${startedBy}.`,
      ...(lapsed === undefined
        ? []
        : [`It is requested again, since what was approved or requested became worse: ${lapsed}`]),
      ...unchecked.map((each) => `${each.charAt(0).toUpperCase()}${each.slice(1)}.`),
      `What it rests on: portcullis rollout status ${job}`,
      `To agree: portcullis approve ${request.id}`,
    ],
    details: { rollout: id, version, wave: wave.name, regions: wave.regions, request: request.id },
  });
}

/** Tells people that somebody asks to skip a bake, in the transaction that asks. */
export async function tellOfSkip(
  client: pg.PoolClient,
  { id, job, version }: Rollout,
  bakes: string,
  request: Approval,
): Promise<void> {
  await notify(client, {
    ...{ kind: 'rollout', job },
    title: `${request.requestedBy} asks to skip the ${bakes} of ${job} ${version}`,
    lines: [
      `Reason: ${request.reason}`,
      'If another person agrees, the version gets its next share without the evidence that the policy asks for.',
      `What there is: portcullis rollout status ${job}`,
      `To agree: portcullis approve ${request.id}`,
    ],
    details: { rollout: id, version, request: request.id },
  });
}

/** Tells people that a rollout is over, in the transaction that ends it. */
export async function tellOfEnd(
  client: pg.PoolClient,
  { id, job, version }: Rollout,
  end: { readonly status: 'completed' | 'aborted'; readonly by: string; readonly reason: string },
): Promise<void> {
  const { status, by, reason } = end;
  await notify(client, {
    ...{ kind: 'rollout', job },
    title:
      status === 'completed'
        ? `the rollout of ${job} ${version} is complete: it has every region`
        : `the rollout of ${job} ${version} was aborted by ${by}, and the version rolled back to zero everywhere`,
    lines: [reason],
    details: { rollout: id, version, status, by },
  });
}
