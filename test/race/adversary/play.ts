import { aloneDue } from '../../../src/access/alone.js';
import { ALONE, type Decision } from '../../../src/access/approvals.js';
import type { Principal } from '../../../src/access/roles.js';
import { flagName } from '../../../src/flags/definition.js';
import { settleOlderControl } from '../../../src/rollout/older-control.js';
import { reconcileGate } from '../../../src/gate/permit.js';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { type OperationName, OPERATIONS } from '../../../src/operations/list.js';
import { type Operation, partsOf } from '../../../src/operations/operation.js';
import { isUnreachable } from '../../../src/postgres/pool.js';
import { rolloutSources } from '../../../src/regions/rollout-sources.js';
import { advanceRollout } from '../../../src/rollout/advance.js';
import { decideRequest } from '../../../src/rollout/decide-request.js';
import { rolloutsUnderWay } from '../../../src/rollout/rollout-store.js';
import { elect } from '../../../src/runs/election.js';
import { executeRun } from '../../../src/worker/run-loop.js';
import { Backup } from './backup.js';
import { note, tickNow } from './facts.js';
import type { Played } from './promises.js';
import { UNITS, type Human, type Schedule, type Step } from './schedule.js';
import { World, type Held, type Stage } from './world.js';

/** What came of a schedule. */
export interface Outcome {
  readonly played: Played;
  /** What went wrong in a way that nothing explains. */
  readonly astray: readonly string[];
  /** How often each operation was called, and done. */
  readonly calls: ReadonlyMap<string, { called: number; done: number }>;
}

/** Plays a schedule to its end. */
export async function play(stage: Stage, schedule: Schedule): Promise<Outcome> {
  const world = new World(stage, schedule);
  await world.make();
  const player = new Player(world);
  await player.begin();
  for (const step of schedule.steps) await player.perform(step);
  await player.end();
  await world.clear();
  return player;
}

type Does<K extends Step['do']> = (step: Extract<Step, { do: K }>) => Promise<unknown>;

const reason = 'a schedule';
const GROWTH = 60;

class Player implements Outcome {
  readonly played: Played;
  readonly astray: string[] = [];
  readonly calls = new Map<string, { called: number; done: number }>();
  private readonly asked = new Map<string, Set<Human>>();
  private readonly approved = new Map<string, { readonly human: Human; readonly machine: boolean }>();
  private readonly runs = new Map<string, number>();
  private readonly carried: { readonly region: string; readonly heard: number; readonly done: number }[] = [];
  /** Codes that she has, the newest last. */
  private readonly codes: string[] = [];
  private readonly backup: Backup;
  private made = 0;
  private slots = 0;

  constructor(private readonly world: World) {
    const { job, regions } = world;
    this.backup = new Backup(world.stage.owner, job);
    this.played = {
      ...{ job, regions, first: world.version(0).version },
      ...{ asked: this.asked, approved: this.approved, runs: this.runs, carried: this.carried },
    };
  }

  /** The first version is admitted everywhere, and the last two tokens are issued. */
  async begin(): Promise<void> {
    const { ann, bob, job, regions } = this.world;
    const first = this.world.version(0).version;
    await this.call(ann, 'admitInitially', { job, version: first, reason });
    for (const region of regions) {
      const variants = [{ version: first, permille: 1000 }];
      await this.call(ann, 'setFlag', { job, region, enabled: true, variants, reason });
    }
    const [eve = bob] = this.world.eves;
    const { admin } = this.world.schedule;
    const machine = { name: this.world.named('ann') + '-ci', role: 'operator', owner: 'machine' };
    const ci = await this.call(admin ? eve : bob, 'issueToken', machine);
    if (ci) this.world.eves.push({ secret: String(ci['token']), human: 'eve', machine: true });
    const owner = { person: this.world.named(admin ? 'eve' : 'bob') };
    const second = { name: `${owner.person}-2`, role: admin ? 'operator' : 'approver', owner };
    const issued = await this.call(admin ? eve : bob, 'issueToken', {
      ...second,
      ...(admin ? {} : { regions: [this.world.region(0)] }),
    });
    if (!issued) return;
    const held = { secret: String(issued['token']), human: admin ? 'eve' : 'bob', machine: false } as const;
    if (admin) this.world.eves.push(held);
    else this.world.bobHere = held;
  }

  async perform(step: Step): Promise<void> {
    try {
      await (this.does[step.do] as Does<Step['do']>)(step);
    } catch (error) {
      if (error instanceof PortcullisError || isUnreachable(error) || isDeadlock(error)) return;
      this.astray.push(
        `${step.do}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
  }

  async end(): Promise<void> {
    const { midRun } = this.world.stage;
    await midRun.proceed('all');
    for (const error of midRun.errors.splice(0)) {
      if (!isUnreachable(error)) this.astray.push(`a run: ${String(error)}`);
    }
  }

  /** Calls an operation as the API does, and answers what it answered; undefined where it was refused. */
  private async call(
    held: Held | undefined,
    name: OperationName,
    input: object,
  ): Promise<Record<string, unknown> | undefined> {
    const operation = OPERATIONS[name] as unknown as Operation;
    const caller = held && (await this.world.callerOf(held));
    const count = this.calls.get(name) ?? { called: 0, done: 0 };
    this.calls.set(name, count);
    count.called += 1;
    if (held === undefined || caller === undefined) return undefined;
    try {
      const reply = await operation.answer(this.world.context, { ...partsOf(operation, input), caller });
      count.done += 1;
      const answer = reply.body as Record<string, unknown>;
      if (ASKS.has(name)) this.askedFor(String(answer['id']), held.human);
      if (name === 'approve' || name === 'approveWave') {
        this.approved.set(String(answer['id']), { human: held.human, machine: held.machine });
      }
      return answer;
    } catch (error) {
      if (!(error instanceof PortcullisError)) throw error;
      // A call that no schema takes would be refused whatever it asks for: that is a defect of the schedule.
      if (error.code === 'INTERNAL' || 'faults' in error.details)
        throw new Error(`${name}: ${error.message}`);
      return undefined;
    }
  }

  private askedFor(id: string, human: Human): void {
    this.asked.set(id, (this.asked.get(id) ?? new Set<Human>()).add(human));
  }

  private eve(by: number): Held | undefined {
    const { eves } = this.world;
    return eves[by % eves.length];
  }

  private at(n: number): { readonly job: string; readonly region: string } {
    return { job: this.world.job, region: this.world.region(n) };
  }

  /** The requests that wait, the newest first. */
  private async waiting(): Promise<
    { id: string; action: string; request: { readonly permille?: number }; subject: string }[]
  > {
    const { rows } = await this.world.stage.owner.query<Awaited<ReturnType<Player['waiting']>>[number]>(
      `select id, action, request, subject from portcullis_control.approval
       where decision is null and expires_at > clock_timestamp() order by requested_at desc, id`,
    );
    return rows;
  }

  /** The break-glass in force, the newest first. */
  private async inForce(): Promise<string[]> {
    const { rows } = await this.world.stage.owner.query<{ id: string }>(
      `select id from portcullis_control.break_glass
       where job = $1 and ended_at is null and expires_at > clock_timestamp() order by granted_at desc`,
      [this.world.job],
    );
    return rows.map(({ id }) => id);
  }

  private async start(held: Held | undefined, version: number): Promise<void> {
    const { job } = this.world;
    const started = await this.call(held, 'startRollout', { job, version: this.name(version), reason });
    if (started && held) this.askedFor(String(started['id']), held.human);
  }

  private name(version: number): string {
    return this.world.version(version).version;
  }

  private async decide(id: string, principal: Principal, decision: Decision): Promise<void> {
    const { control, regionDatabases } = this.world.stage;
    const sources = rolloutSources(control, regionDatabases, [this.world.version(0)]);
    await decideRequest(
      sources,
      () => control,
      () => [control],
      id,
      principal,
      decision,
    );
  }

  private readonly does: { readonly [K in Step['do']]: Does<K> } = {
    'ann starts': ({ version }) => this.start(this.world.ann, version),
    'ann asks': ({ region, permille }) =>
      this.call(this.world.ann, 'requestBreakGlass', {
        ...this.at(region),
        version: this.name(1),
        permille,
        reason,
      }),
    'ann gives': ({ region, permille }) => {
      const variants = [
        { version: this.name(1), permille },
        { version: this.name(0), permille: 1000 - permille },
      ];
      return this.call(this.world.ann, 'setFlag', { ...this.at(region), enabled: true, variants, reason });
    },
    'ann aborts': () => this.call(this.world.ann, 'abortRollout', { job: this.world.job, reason }),
    'ann revokes': async () => {
      const [id] = await this.inForce();
      if (id !== undefined) await this.call(this.world.ann, 'revokeBreakGlass', { id, reason });
    },
    // He looks at what he approves: nothing but the second version, and no more of it than a part.
    'bob decides': async () => {
      const [asked] = await this.waiting();
      if (!asked) return;
      const { id, action, subject, request } = asked;
      const wanted = subject.includes(this.name(1));
      const much = (request.permille ?? 0) > 300;
      const yes = wanted && (action !== 'break-glass' || !much);
      const { bob, bobHere } = this.world;
      const decided = bobHere && (await this.call(bobHere, yes ? 'approve' : 'reject', { id }));
      if (!decided) await this.call(bob, yes ? 'approve' : 'reject', { id });
    },
    'bob kills': ({ version }) =>
      this.call(this.world.bob, 'killJob', { job: this.world.job, version: this.name(version), reason }),
    look: async () => {
      const { control, owner } = this.world.stage;
      await this.world.announce();
      await settleOlderControl(control, control, 'system:test', true);
      const ports = this.world.stage.advancing(this.world.version(0));
      for (const id of await rolloutsUnderWay(owner, this.world.job)) await advanceRollout(ports, id);
    },
    'break-glass expires': async () => {
      const [id] = await this.inForce();
      if (id === undefined) return;
      await this.world.stage.owner.query(
        'update portcullis_control.break_glass set expires_at = clock_timestamp() where id = $1',
        [id],
      );
    },
    // Everybody hears of what would approve itself, and Ann cancels it; also where she has no token left.
    'an hour passes': async () => {
      const { owner, control } = this.world.stage;
      const { rows } = await owner.query<{ id: string }>(
        'select id from portcullis_control.approval where decision is null and alone_at is not null',
      );
      for (const { id } of rows) {
        await this.decide(id, { name: 'local:ann', role: 'local', regions: null }, 'reject');
      }
      await owner.query(
        `update portcullis_control.approval set alone_at = clock_timestamp() where decision is null and id = any($1)`,
        [rows.map(({ id }) => id)],
      );
      for (const id of await aloneDue(control)) await this.decide(id, ALONE, 'approve');
    },
    'region grows': async ({ region }) => {
      const { owner } = this.world.stage;
      this.made += 1;
      const name = this.world.region(region);
      await owner.query(
        `insert into directory.organisation (id, name, home_region)
         select $1 || '-org-' || $2::text || '-' || n, 'Organisation', $1 from generate_series(1, $3) n`,
        [name, this.made, GROWTH],
      );
      const { rows } = await owner.query<{ units: number }>(
        'select count(*) as units from directory.organisation where home_region = $1',
        [name],
      );
      await note(owner, 'grown', { region: name, units: rows[0]?.units ?? UNITS });
    },
    carry: async ({ region: n }) => {
      const { owner, platform } = this.world.stage;
      const { job, region } = this.at(n);
      const heard = await tickNow(owner);
      await this.world.stage.heard();
      const look = () => platform.flags.look(flagName(job, region));
      await reconcileGate(platform.region, job, region, look, this.world.policy.permitMs);
      this.carried.push({ region, heard, done: await tickNow(owner) });
    },
    run: (step) => this.run(step),
    proceed: ({ points }) => this.world.stage.midRun.proceed(points),
    'back up': () => this.backup.take(),
    // Workers have heard by then what there was to hear.
    'restore backup': async () => {
      for (const n of this.world.regions.keys()) await this.does.carry({ do: 'carry', region: n });
      await this.backup.putBack();
    },
    set: ({ by, region, shares }) => {
      const variants = shares.map(([version, permille]) => ({ version: this.name(version), permille }));
      return this.call(this.eve(by), 'setFlag', { ...this.at(region), enabled: true, variants, reason });
    },
    revert: async ({ by, region: n, back }) => {
      const { rows } = await this.world.stage.owner.query<{ revision: number }>(
        `select revision from portcullis_control.flag_change where job = $1 and region = $2
         order by revision desc offset $3 limit 1`,
        [this.world.job, this.world.region(n), back],
      );
      const revision = rows[0]?.revision;
      if (revision !== undefined)
        await this.call(this.eve(by), 'revertFlag', { ...this.at(n), revision, reason });
    },
    start: ({ by, version }) => this.start(this.eve(by), version),
    steer: ({ by, how }) => this.call(this.eve(by), `${how}Rollout`, { job: this.world.job, reason }),
    promote: ({ by }) => this.call(this.eve(by), 'promoteRollout', { job: this.world.job, reason }),
    'admit initially': ({ by, version, region }) =>
      this.call(this.eve(by), 'admitInitially', {
        ...{ job: this.world.job, version: this.name(version), regions: [this.world.region(region)], reason },
      }),
    ask: ({ by, version, region, permille }) =>
      this.call(this.eve(by), 'requestBreakGlass', {
        ...{ ...this.at(region), version: this.name(version), permille, reason: 'the fix cannot wait' },
      }),
    approve: async ({ by, of }) => {
      const id = (await this.waiting())[of]?.id;
      if (id === undefined) return;
      // Whichever of her tokens may.
      for (let n = 0; n < this.world.eves.length && !this.approved.has(id); n += 1) {
        await this.call(this.eve(by + n), 'approve', { id });
      }
    },
    'approve wave': ({ by }) => this.call(this.eve(by), 'approveWave', { job: this.world.job }),
    alone: async ({ by, of }) => {
      const id = (await this.waiting())[of]?.id;
      if (id !== undefined) await this.call(this.eve(by), 'approveAlone', { id });
    },
    lift: ({ by, version }) =>
      this.call(this.eve(by), 'requestRearm', { job: this.world.job, version: this.name(version), reason }),
    apply: ({ by, files }) =>
      this.call(this.eve(by), 'applyPolicies', {
        files: [{ file: 'claims.yaml', text: this.world.policyText(files) }],
      }),
    issue: async ({ by, role, owner, replace }) => {
      this.made += 1;
      const machine = owner === 'machine';
      // Replacing takes the token's own name; and whose it was, where nobody says.
      const name =
        machine || !replace ? `new-${this.world.schedule.seed}-${this.made}` : this.world.named(owner);
      const issued = await this.call(this.eve(by), 'issueToken', {
        ...{ name, role, replace, owner: machine ? 'machine' : { person: this.world.named(owner) } },
      });
      if (issued) this.world.eves.push({ secret: String(issued['token']), human: 'eve', machine });
    },
    'add person': async ({ by, name, role, replace }) => {
      const added = await this.call(this.eve(by), 'addPerson', {
        name: this.world.named(name),
        role,
        replace,
      });
      if (added) this.codes.push(String(added['code']));
    },
    redeem: async () => {
      const code = this.codes.pop();
      if (code === undefined) return;
      const redeemed = await OPERATIONS.login.answer(this.world.context, {
        ...{ params: {}, query: {}, body: { code }, caller: undefined },
      });
      this.world.eves.push({ secret: redeemed.body.token, human: 'eve', machine: false });
    },
    remove: ({ by, name }) => this.call(this.eve(by), 'removePerson', { name: this.world.named(name) }),
    'revoke token': ({ by, name }) =>
      this.call(this.eve(by), 'revokeToken', { name: this.world.named(name) }),
    both: async ({ steps }) => {
      const [one, other] = steps;
      const first = this.perform(one);
      // There is one run at a time.
      if (RUNS.has(one.do) && RUNS.has(other.do)) await first;
      await Promise.all([first, this.perform(other)]);
    },
  };

  private async run({
    version: n,
    region: where,
    points,
    trigger,
  }: Extract<Step, { do: 'run' }>): Promise<void> {
    const { owner, midRun, platform } = this.world.stage;
    const { job, region } = this.at(where);
    const loaded = this.world.version(n);
    const { policy } = this.world;
    await midRun.proceed('all');
    await owner.query(
      `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null
       where home_region = $1 and state <> 'UNMANAGED'`,
      [region],
    );
    this.slots += 1;
    const slot = new Date(Date.UTC(2026, 0, 1, 0, this.slots));
    const heard = await tickNow(owner);
    await this.world.stage.heard();
    const election = await elect(platform.region, {
      ...{ job, version: loaded.version, region, trigger, worker: platform.worker, leaseMs: policy.leaseMs },
      ...(trigger === 'schedule' && { slot }),
    });
    if (!election.elected) return;
    const { run } = election;
    this.runs.set(run.id, heard);
    const { signal } = new AbortController();
    await midRun.start(() => executeRun(platform, loaded, policy, run, 'planning', { signal }), points);
  }
}

/** The operations that answer a request of the caller's. */
const ASKS: ReadonlySet<string> = new Set<OperationName>([
  'requestBreakGlass',
  'promoteRollout',
  'requestRearm',
]);

const RUNS: ReadonlySet<Step['do']> = new Set<Step['do']>(['run', 'proceed']);

function isDeadlock(error: unknown): boolean {
  return (error as { code?: unknown }).code === '40P01';
}
