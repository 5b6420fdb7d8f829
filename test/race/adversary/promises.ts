import type pg from 'pg';
import { flagName } from '../../../src/flags/definition.js';
import { bucketsOf } from '../../../src/kernel/bucketing.js';
import type { Fact } from './facts.js';
import type { Human } from './schedule.js';

/** Who did what in a schedule, as the test itself knows it. */
export interface Played {
  readonly job: string;
  readonly regions: readonly string[];
  /** The version that was admitted first, everywhere. */
  readonly first: string;
  /** Of each request, and of each rollout, the humans who asked for it. */
  readonly asked: ReadonlyMap<string, ReadonlySet<Human>>;
  /** Of each request that was approved, the human who did, and whether with a machine's token. */
  readonly approved: ReadonlyMap<string, { readonly human: Human; readonly machine: boolean }>;
  /** Of each run, the tick before its worker heard the flags. */
  readonly runs: ReadonlyMap<string, number>;
  /** What was carried to a region's gate, and when. */
  readonly carried: readonly { readonly region: string; readonly heard: number; readonly done: number }[];
}

/** A batch with changes for units for which nobody had admitted their version. */
export interface Breach {
  readonly version: string;
  readonly region: string;
  readonly units: readonly string[];
  readonly how: string;
}

interface Written {
  readonly run: string;
  readonly version: string;
  readonly region: string;
  readonly flagRevision: number;
  readonly units: readonly string[];
  readonly lane: number;
  readonly to: number;
}

const WRITTEN = `
  select r.id as run, r.version, r.region, r.flag_revision as "flagRevision", b.lane, b.to_seq as to,
    array_agg(distinct c.unit) as units
  from portcullis_region.run r
  join portcullis_region.batch b on b.run = r.id
  join portcullis_region.change c on c.run = b.run and c.lane = b.lane and c.seq > b.from_seq and c.seq <= b.to_seq
  left join portcullis_region.conflict x on x.run = c.run and x.lane = c.lane and x.seq = c.seq
  where r.job = $1 and x.run is null
  group by r.id, b.lane, b.to_seq, b.from_seq`;

/** How many changes were looked at, and those that nobody had admitted. */
export interface Judged {
  readonly units: number;
  readonly breaches: readonly Breach[];
}

/** Compares the journal with what two humans have agreed on. Asks no table of admissions. */
export async function judge(owner: pg.Pool, played: Played, facts: readonly Fact[]): Promise<Judged> {
  const { rows } = await owner.query<Written>(WRITTEN, [played.job]);
  const agreed = new Agreed(played, facts);
  const breaches: Breach[] = [];
  let units = 0;
  for (const { run, version, region, flagRevision, lane, to, ...written } of rows) {
    if (version === played.first) continue;
    const at = facts.find(
      ({ what, row }) =>
        what === 'batch' && row['run'] === run && row['lane'] === lane && row['to_seq'] === to,
    );
    if (at === undefined) throw new Error(`a batch of run ${run} has left no trace`);
    const heard = Math.max(
      played.runs.get(run) ?? 0,
      ...played.carried
        .filter((each) => each.region === region && each.done < at.tick)
        .map((each) => each.heard),
    );
    const permille = agreed.most(version, region, heard, at.tick);
    const shares = facts.findLast(
      ({ tick, what, row }) =>
        what === 'flag' && row['region'] === region && row['revision'] === flagRevision && tick < at.tick,
    )?.row['variants'];
    const bucket = bucketsOf(flagName(played.job, region));
    units += written.units.length;
    const beyond = written.units.filter((unit) => !given(shares, version, permille, bucket(unit)));
    if (beyond.length > 0) {
      const how = `run ${run}, flag revision ${flagRevision} (${JSON.stringify(shares)}), admitted to ${permille} of 1000 between ticks ${heard} and ${at.tick}`;
      breaches.push({ version, region, units: beyond, how });
    }
  }
  return { units, breaches };
}

/** Whether shares give a version that bucket, of those that it has at most the first so many; reckoned here anew. */
function given(shares: unknown, version: string, most: number, bucket: number): boolean {
  let upTo = 0;
  let left = most;
  for (const share of (shares ?? []) as readonly { version: string; permille: number }[]) {
    const own = share.version === version ? Math.min(left, share.permille) : 0;
    if (bucket > upTo && bucket <= upTo + own) return true;
    left -= own;
    upTo += share.permille;
  }
  return false;
}

interface Wave {
  readonly name: string;
  readonly regions: readonly string[];
  readonly steps: readonly string[];
  readonly approvals?: number;
}

interface Request {
  readonly rollout?: string;
  readonly wave?: string;
  readonly bakes?: readonly { readonly region: string; readonly step: number }[];
  readonly job?: string;
  readonly version?: string;
  readonly regions?: readonly string[];
  readonly permille?: number;
}

/** From which size on what was asked for reaches more than what is agreed to. */
const grew = (then: number, now: number): boolean => now > then * 1.25 && now >= then + 10;

/** What people have agreed on, and what rollouts have earned, at any moment. */
class Agreed {
  /** When each version lost everything. */
  private readonly cleared: { readonly version: unknown; readonly tick: number }[];
  private readonly rollouts: readonly Fact[];
  private readonly moments: readonly number[];

  constructor(
    private readonly played: Played,
    private readonly facts: readonly Fact[],
  ) {
    const begun = new Map<unknown, Fact>();
    for (const fact of this.of('rollout')) if (!begun.has(fact.row['id'])) begun.set(fact.row['id'], fact);
    this.rollouts = [...begun.values()];
    this.cleared = [
      ...this.of('quarantine'),
      ...this.of('rollout').filter(({ row }) => row['status'] === 'aborted'),
    ].map(({ tick, row }) => ({ version: row['version'], tick }));
    this.moments = facts.map(({ tick }) => tick);
  }

  /** The most of a region that a version was admitted to at any moment of a stretch, in thousandths. */
  most(version: string, region: string, from: number, to: number): number {
    const moments = [from, ...this.moments.filter((tick) => tick > from && tick <= to)];
    return Math.max(...moments.map((tick) => Math.max(...this.admitted(version, region, tick), 0)));
  }

  private admitted(version: string, region: string, now: number): number[] {
    const since = Math.max(
      0,
      ...this.cleared.filter((each) => each.version === version && each.tick <= now).map(({ tick }) => tick),
    );
    return [
      ...this.byRollouts(version, region, since, now),
      ...this.byBreakGlass(version, region, since, now),
    ];
  }

  private byRollouts(version: string, region: string, since: number, now: number): number[] {
    return this.rollouts
      .filter(({ row }) => row['version'] === version)
      .flatMap((rollout) =>
        this.parts(rollout, region)
          .filter(
            ({ tick, row }) =>
              tick > since && tick <= now && this.earned(rollout, region, Number(row['step'])),
          )
          .map(({ row }) => permilleOf(waveOf(rollout, region)?.steps[Number(row['step'])])),
      );
  }

  private byBreakGlass(version: string, region: string, since: number, now: number): number[] {
    return this.approvals('break-glass').flatMap(({ tick, id, request }) => {
      const { regions = [], permille = 0 } = request;
      if (tick <= since || tick > now || request.version !== version || !regions.includes(region)) return [];
      const ended = this.of('break_glass').some(
        (fact) =>
          fact.tick <= now &&
          fact.row['id'] === id &&
          fact.row['region'] === region &&
          (fact.row['ended_at'] !== null || Date.parse(String(fact.row['expires_at'])) <= fact.at.getTime()),
      );
      const units = (at: number): number =>
        regions.reduce((sum, each) => sum + Math.round((this.units(each, at) * permille) / 1000), 0);
      const askedAt = this.of('approval').find(({ row }) => row['id'] === id)?.tick ?? 0;
      return ended || grew(units(askedAt), units(tick)) ? [] : [permille];
    });
  }

  /** Whether a step of a region came after all that it needs; and so did every step before it. */
  private earned(rollout: Fact, region: string, step: number): boolean {
    const begun = this.parts(rollout, region).find(({ row }) => row['step'] === step);
    if (begun === undefined) return false;
    if (step > 0)
      return this.baked(rollout, region, step - 1, begun.tick) && this.earned(rollout, region, step - 1);
    const wave = waveOf(rollout, region);
    const waves = wavesOf(rollout);
    const before = waves.slice(
      0,
      waves.findIndex(({ name }) => name === wave?.name),
    );
    const all = before.flatMap(({ regions, steps }) =>
      regions.map((each) => ({ each, last: steps.length - 1 })),
    );
    const agreed = this.approvals('begin-wave').some(
      ({ tick, request }) =>
        tick < begun.tick && request.rollout === rollout.row['id'] && request.wave === wave?.name,
    );
    return (
      ((wave?.approvals ?? 0) === 0 || agreed) &&
      all.every(
        ({ each, last }) => this.baked(rollout, each, last, begun.tick) && this.earned(rollout, each, last),
      )
    );
  }

  /** Whether a step has had a run that ended well before that tick, or its bake was skipped by two. */
  private baked(rollout: Fact, region: string, step: number, before: number): boolean {
    const since = this.parts(rollout, region).find(({ row }) => row['step'] === step)?.tick;
    if (since === undefined) return false;
    const ran = this.of('run').some(
      ({ tick, row }) =>
        tick > since &&
        tick < before &&
        row['region'] === region &&
        row['version'] === rollout.row['version'],
    );
    return (
      ran ||
      this.approvals('skip-bake').some(
        ({ tick, request }) =>
          tick < before &&
          request.rollout === rollout.row['id'] &&
          (request.bakes ?? []).some((bake) => bake.region === region && bake.step === step),
      )
    );
  }

  /** What a human approved that another had asked for. */
  private approvals(
    action: string,
  ): { readonly tick: number; readonly id: string; readonly request: Request }[] {
    return this.of('approval').flatMap(({ tick, row }) => {
      const id = String(row['id']);
      const request = row['request'] as Request;
      const by = this.played.approved.get(id);
      const askers = this.played.asked.get(id) ?? this.played.asked.get(request.rollout ?? '') ?? new Set();
      const two = by !== undefined && !by.machine && [...askers].some((asker) => asker !== by.human);
      return row['action'] === action && row['decision'] === 'approve' && two ? [{ tick, id, request }] : [];
    });
  }

  private units(region: string, at: number): number {
    const grown = this.of('grown').findLast(({ tick, row }) => tick <= at && row['region'] === region);
    return Number(grown?.row['units'] ?? 0);
  }

  private parts(rollout: Fact, region: string): Fact[] {
    return this.of('rollout_part').filter(
      ({ row }) =>
        row['rollout'] === rollout.row['id'] && row['region'] === region && Number(row['step']) >= 0,
    );
  }

  private of(what: string): Fact[] {
    return this.facts.filter((fact) => fact.what === what);
  }
}

function wavesOf({ row }: Fact): readonly Wave[] {
  return (row['policy'] as { readonly waves: readonly Wave[] }).waves;
}

function waveOf(rollout: Fact, region: string): Wave | undefined {
  return wavesOf(rollout).find(({ regions }) => regions.includes(region));
}

/** `20%` in thousandths. */
function permilleOf(text: string | undefined): number {
  return Math.round(Number.parseFloat(text ?? '0') * 10);
}
