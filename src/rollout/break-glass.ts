import type pg from 'pg';
import { z } from 'zod';
import { ALONE, type Approval, type Decision, decideApproval, requestOrJoin } from '../access/approvals.js';
import { requireMay, type Principal } from '../access/roles.js';
import { formatDurationMs } from '../kernel/duration.js';
import { PortcullisError } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import { inTransaction } from '../postgres/pool.js';
import { readAdmissions } from '../flags/admission-store.js';
import { endBreakGlass, grantBreakGlass, lockFlagsOf } from '../flags/break-glass.js';
import { requirePolicy, unitLabelOf } from '../flags/policy-store.js';
import { notify } from '../notify/notice.js';
import { hashOfEvidence, type RegionShown, type WaveEvidence, worsened } from './evidence.js';
import { type EvidenceSources, type UnitsOf } from './read-evidence.js';
import { stopReason } from './stop-version.js';
import { type BreakGlass, listBreakGlass } from '../flags/browse-break-glass.js';

/** What a request for break-glass asks for. */
export const BREAK_GLASS = 'break-glass';

/** How long break-glass lasts unless somebody says so, and at most. */
export const BREAK_GLASS_MS = 24 * 3_600_000;
export const LONGEST_BREAK_GLASS_MS = 7 * BREAK_GLASS_MS;
const SHORTEST_MS = 60_000;

/** An emergency is decided soon, or it is none. */
const DECIDE_WITHIN_MS = 4 * 3_600_000;

export interface BreakGlassOrder {
  readonly job: string;
  /** In full. */
  readonly version: string;
  readonly regions: readonly string[];
  /** Thousandths of each region's units. */
  readonly permille: number;
  readonly reason: string;
  /** From the approval on. Default: 24 hours. */
  readonly forMs?: number | undefined;
}

export interface BreakGlassSources extends EvidenceSources {
  readonly control: pg.Pool;
  readonly unitsOf?: UnitsOf | undefined;
}

const request = z.object({
  job: z.string(),
  version: z.string(),
  regions: z.array(z.string()).min(1),
  permille: z.number(),
  forMs: z.number(),
  evidence: z.custom<WaveEvidence>((value) => typeof value === 'object'),
});

/**
 * Asks that a version may act for more of regions than a rollout has admitted it to, for a time. Another person decides.
 * Throws FORBIDDEN, POLICY_MISSING, POLICY_INVALID, REGION_UNKNOWN, and BREAK_GLASS_REFUSED where the version is
 * quarantined, has that much already, or the duration is none.
 */
export async function askBreakGlass(
  sources: BreakGlassSources,
  order: BreakGlassOrder,
  principal: Principal,
): Promise<Approval> {
  const { control } = sources;
  const { job, version, permille, reason, forMs = BREAK_GLASS_MS } = order;
  const regions = [...new Set(order.regions)].sort();
  if (regions.length === 0) requireMay(principal, 'break-glass');
  for (const region of regions) requireMay(principal, 'break-glass', region);
  const policy = await requirePolicy(control, job);
  const stranger = regions.find((region) => !policy.regions.includes(region));
  if (stranger !== undefined) {
    throw new PortcullisError('REGION_UNKNOWN', `${stranger} is not in the policy of ${job}`, {
      hint: `there are ${policy.regions.join(', ')}`,
      details: { job, region: stranger },
    });
  }
  if (
    regions.length === 0 ||
    forMs < SHORTEST_MS ||
    forMs > LONGEST_BREAK_GLASS_MS ||
    permille < 1 ||
    permille > 1000
  ) {
    throw refused(
      order,
      `break-glass is for at least one region, for 0.1% to 100% of it, and lasts ${formatDurationMs(SHORTEST_MS)} to ${formatDurationMs(LONGEST_BREAK_GLASS_MS)}`,
      'name the regions, a share, and a duration such as 6h; a rollout admits a version for longer',
    );
  }
  const evidence = await evidenceNow(sources, { job, version, regions, permille });
  const held = evidence.regions.find(({ trouble }) => trouble !== undefined);
  if (held !== undefined) {
    throw refused(
      order,
      `${version} cannot act in ${held.region}: ${held.trouble ?? ''}`,
      'break-glass lifts no kill and no quarantine: portcullis rearm asks for that',
    );
  }
  if (evidence.regions.every((each) => each.permille >= permille)) {
    throw refused(
      order,
      `${version} is admitted to ${permille / 10}% of ${regions.join(', ')} already`,
      `give it the share: portcullis flags set ${job} --version ${version} --share ${permille / 10}% --reason "…"`,
    );
  }
  const where = regions.join(', ');
  const evidenceHash = hashOfEvidence(evidence);
  return inTransaction(control, async (client) => {
    const { joined, ...asked } = await requestOrJoin(
      client,
      {
        action: BREAK_GLASS,
        subject: `${job} ${version}: ${permille / 10}% of ${where} for ${formatDurationMs(forMs)}`,
        region: regions.length === 1 ? regions[0] : undefined,
        reason,
        evidence: {
          ...{ job, version, regions, permille, forMs, unitLabel: policy.unit },
          ...{ evidenceHash, evidence: jsonOf(evidence) },
        },
        expiresInMs: DECIDE_WITHIN_MS,
      },
      principal,
    );
    if (joined) return asked;
    await notify(client, {
      ...{ kind: 'break-glass', job },
      ...(regions.length === 1 && { region: where }),
      title: `${principal.name} asks for break-glass: ${job} ${version} for ${permille / 10}% of ${where}`,
      lines: [
        `Reason: ${reason}`,
        `If another person agrees, the version acts there for ${formatDurationMs(forMs)} without the evidence that a rollout asks for.`,
        `To agree: portcullis approve ${asked.id}`,
      ],
      details: { request: asked.id, version, regions, permille, forMs },
    });
    return asked;
  });
}

/**
 * Agrees to break-glass, or refuses it. It is in force at once. Throws BREAK_GLASS_REFUSED where what is known of the
 * version, or whom it reaches, has become worse since it was asked for; and as `decideApproval` does.
 */
export async function decideBreakGlass(
  sources: BreakGlassSources,
  id: string,
  principal: Principal,
  decision: Decision,
  why?: string,
): Promise<Approval> {
  return decideApproval(
    sources.control,
    id,
    principal,
    decision,
    async (client, approval) => {
      const { evidence: then, ...grant } = request.parse(approval.evidence);
      const now = await evidenceNow(sources, grant);
      const held = now.regions.find(({ trouble }) => trouble !== undefined);
      const worse =
        worsened(then, now, await unitLabelOf(client, grant.job)) ??
        (held && `${held.region} is held: ${held.trouble ?? ''}`);
      if (worse !== undefined) {
        throw refused(
          grant,
          `${approval.id} no longer counts: ${worse}`,
          'submit a new request if it is still wanted: portcullis break-glass request',
        );
      }
      await grantBreakGlass(client, {
        ...grant,
        ...{ id: approval.id, reason: approval.reason, requestedBy: approval.requestedBy },
        approvedBy: principal === ALONE ? `${approval.requestedBy} alone` : principal.name,
      });
    },
    why,
  );
}

/** Ends break-glass at once; whoever may kill may do so. Throws FORBIDDEN, or NOTHING_REACHED where none is in force. */
export async function revokeBreakGlass(
  control: pg.Pool,
  { id, reason }: { readonly id: string; readonly reason: string },
  principal: Principal,
): Promise<readonly BreakGlass[]> {
  const wanted = id.trim().toLowerCase();
  const grants = await listBreakGlass(control, { id: wanted });
  for (const { region } of grants) requireMay(principal, 'kill', region);
  if (grants.length === 0) requireMay(principal, 'kill', principal.regions?.[0]);
  await inTransaction(control, async (client) => {
    const [first] = grants;
    if (first !== undefined) await lockFlagsOf(client, first.job);
    const how = { ended: 'revoked', by: principal.name, reason } as const;
    const ended = await endBreakGlass(client, { id: wanted }, how);
    if (first === undefined || ended.length === 0) {
      throw new PortcullisError('NOTHING_REACHED', `no break-glass ${wanted} is in force`, {
        hint: 'portcullis break-glass list shows what is, and what was',
        details: { id: wanted },
      });
    }
    const regions = ended.map(({ region }) => region);
    await notify(client, {
      ...{ kind: 'break-glass', job: first.job },
      title: `${principal.name} ended the break-glass of ${first.job} ${first.version} in ${regions.join(', ')}`,
      lines: [`Reason: ${reason}`],
      details: { breakGlass: wanted, version: first.version, regions },
    });
  });
  return listBreakGlass(control, { id: wanted });
}

/** What is known of the version in these regions, and whom the share reaches: compared as a rollout's evidence is. */
async function evidenceNow(
  { control, regionOf, verdictsOf, unitsOf }: BreakGlassSources,
  { job, version, regions, permille }: Pick<BreakGlassOrder, 'job' | 'version' | 'regions' | 'permille'>,
): Promise<WaveEvidence> {
  const admissions = await readAdmissions(control);
  const shown = await Promise.all(
    regions.map(async (region): Promise<RegionShown> => {
      const [trouble, verdicts] = await Promise.all([
        stopReason(regionOf(region), { job, version, region }),
        verdictsOf(job, version, region),
      ]);
      return {
        region,
        permille: admissions.of(job, region).permille.get(version) ?? 0,
        ...{ runs: 0, changes: 0 },
        ...(trouble !== undefined && { trouble }),
        verdicts: Object.fromEntries(verdicts.map(({ rule, verdict }) => [rule, verdict])),
      };
    }),
  );
  const counted = await Promise.all(
    regions.map(async (region) => unitsOf?.(job, region).catch(() => undefined)),
  );
  return {
    ...{ rollout: '', version, wave: '' },
    regions: shown,
    reach: {
      permille: Object.fromEntries(regions.map((region) => [region, permille])),
      units: counted.reduce<number | null>(
        (sum, all) => (sum === null || all === undefined ? null : sum + Math.round((all * permille) / 1000)),
        0,
      ),
    },
  };
}

function jsonOf(evidence: WaveEvidence): unknown {
  return JSON.parse(storableJson(evidence));
}

function refused(
  { job, version }: Pick<BreakGlassOrder, 'job' | 'version'>,
  message: string,
  hint: string,
): PortcullisError {
  return new PortcullisError('BREAK_GLASS_REFUSED', message, { hint, details: { job, version } });
}
