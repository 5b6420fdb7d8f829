import type { RunProgress, RunReport } from '../worker/run-loop.js';
import type { PlacedJob } from '../worker/worker.js';
import type { Run } from '../runs/election.js';
import type { Service } from './app-port.js';
import type { Voice } from './context.js';
import { aborted } from './interrupt.js';
import { bar, type ProgressLine } from './progress.js';
import { RunAccount } from './run-progress.js';
import { Table, type Cell, type Column, type Row } from './table.js';
import type { Output } from './terminal.js';
import { toneOf } from './tone.js';
import { countOf, time } from '../kernel/words.js';
import { total } from './wording.js';

/** A finished run as programs read it: the same object as `run --json`, and when it was reported. */
function reportObject({ run, ...report }: RunReport): Record<string, unknown> {
  const { status, code, reason, planned, applied, conflicts, durationMs } = report;
  return {
    ...{ runId: run.id, job: run.job, version: run.version, region: run.region },
    ...{ slot: run.slot.toISOString(), status, reasonCode: code, reason, planned, applied, conflicts },
    durationMs: Math.round(durationMs),
  };
}

/** Tells of the runs of a serving process: the first ones as one table, each later one as a row below it. */
export class RunLog {
  readonly #stdout: Output;
  readonly #voice: Voice;
  readonly #progress: ProgressLine;
  readonly #accounts = new Map<string, RunAccount>();
  /** Reports of the first runs, while these are not over. */
  #collected: RunReport[] | undefined;
  #table: Table | undefined;
  #headPrinted = false;
  /** Jobs stand in the table where there are several. */
  #severalJobs = false;

  constructor(stdout: Output, voice: Voice, progress: ProgressLine) {
    this.#stdout = stdout;
    this.#voice = voice;
    this.#progress = progress;
  }

  hear(report: RunReport): void {
    this.#accounts.delete(report.run.id);
    if (this.#voice.json) this.#voice.result({ event: 'run', ...reportObject(report) }, () => '');
    else if (this.#collected) this.#collected.push(report);
    else if (this.#table) {
      if (!this.#headPrinted) this.#print(this.#table.head());
      this.#headPrinted = true;
      this.#print(this.#table.row(this.#row(report)));
    }
  }

  progress(run: Run, news: RunProgress): void {
    if (!this.#collected) return;
    const account = this.#accounts.get(run.id) ?? new RunAccount();
    this.#accounts.set(run.id, account);
    account.hear(news);
    this.#progress.say(this.#progressText());
  }

  /** Without first runs: the heads come with the first run there is. */
  begin(served: readonly PlacedJob[]): void {
    this.#severalJobs = served.length > 1;
    this.#table = this.#tableFor(served, []);
  }

  /** Runs every job at once and prints what became of it, in the order of the policies. */
  async first(service: Service, signal: AbortSignal): Promise<void> {
    this.#severalJobs = service.served.length > 1;
    const collected: RunReport[] = [];
    this.#collected = collected;
    this.#progress.say('running every job in its regions');
    try {
      await Promise.race([service.runAllNow(), aborted(signal)]);
    } finally {
      this.#collected = undefined;
    }
    if (this.#voice.json) return;
    const rows = service.served.flatMap(({ job, policy, regions }) =>
      regions.map((region): Row => {
        const report = collected.find(({ run }) => run.job === policy.job && run.region === region);
        return report
          ? this.#row(report)
          : this.#cells(policy.job, ['–', region, job.version, '–', '–', '–', '–', absence(signal)]);
      }),
    );
    this.#table = this.#tableFor(service.served, rows);
    this.#headPrinted = true;
    const table = this.#table;
    this.#print(['', table.head(), ...rows.map((row) => table.row(row))].join('\n'));
  }

  #print(text: string): void {
    this.#progress.above(() => this.#stdout.write(`${text}\n`));
  }

  #progressText(): string {
    const running = [...this.#accounts.values()];
    const planned = running.reduce((sum, account) => sum + account.planned, 0);
    const written = running.reduce((sum, account) => sum + account.written, 0);
    const runs = countOf(running.length, 'run');
    return planned === 0 ? `${runs} planning` : `${runs} under way, applying  ${bar(written, planned)}`;
  }

  #row({ run, status, planned, applied, conflicts, reason }: RunReport): Row {
    return this.#cells(run.job, [
      time(run.slot).slice('2026-03-01T'.length),
      run.region,
      run.version,
      { text: status, tone: toneOf(status) },
      total(planned),
      total(applied),
      conflicts,
      reason,
    ]);
  }

  #cells(job: string, [slot = '', ...cells]: readonly Cell[]): Row {
    return this.#severalJobs ? [slot, job, ...cells] : [slot, ...cells];
  }

  /** Wide enough for these rows, and for what later ones are likely to hold. */
  #tableFor(served: readonly PlacedJob[], rows: readonly Row[]): Table {
    const likely = served.flatMap(({ job, policy, regions }) =>
      regions.map((region) =>
        this.#cells(policy.job, ['09:30:00Z', region, job.version, 'succeeded', 10_000, 10_000, 0, '']),
      ),
    );
    const columns: Column[] = [
      { title: 'slot', below: 2 },
      ...(this.#severalJobs ? [{ title: 'job' }] : []),
      { title: 'region' },
      { title: 'version', below: 1 },
      { title: 'status' },
      { title: 'planned', below: 4 },
      { title: 'applied' },
      { title: 'conflicts', below: 3 },
      { title: 'reason' },
    ];
    return new Table(columns, [...likely, ...rows], this.#voice.tableOptions());
  }
}

function absence(signal: AbortSignal): string {
  return signal.aborted ? 'interrupted' : 'another process has a run under way here';
}
