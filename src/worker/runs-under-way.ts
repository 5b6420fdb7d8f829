import type pg from 'pg';

/** A run that this process carries out. */
export interface RunUnderWay {
  /** The database that it works on. */
  readonly region: pg.Pool;
  /** Says that the run hangs, and since when; undefined where it does not. */
  hangs(): string | undefined;
}

/** The runs that this process carries out, for its readiness. */
export class RunsUnderWay {
  readonly #runs = new Set<RunUnderWay>();

  /** Lists a run. Answers how to take it off the list. */
  enter(run: RunUnderWay): () => void {
    this.#runs.add(run);
    return () => void this.#runs.delete(run);
  }

  /** Which runs hang, in words. */
  hanging(): string[] {
    return [...this.#runs].flatMap((run) => run.hangs() ?? []);
  }

  /** The databases that runs are under way on. */
  databases(): pg.Pool[] {
    return [...new Set([...this.#runs].map(({ region }) => region))];
  }
}
