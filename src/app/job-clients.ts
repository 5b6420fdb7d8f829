import type { KnownJob } from '../worker/registry.js';

/** A way to make a job's clients other than the one that it declares: as the installation is configured. */
export type ClientsByJob = Readonly<Record<string, () => Promise<object>>>;

/** The clients of this process's jobs: each job's are made when it first plans, and closed with the process. */
export class JobClients {
  readonly #made = new Map<string, Promise<object>>();

  constructor(private readonly configured: ClientsByJob) {}

  readonly of = ({ definition }: KnownJob): Promise<object> => {
    const { name } = definition;
    const known = this.#made.get(name);
    if (known) return known;
    const made = Promise.resolve().then(
      () => this.configured[name]?.() ?? definition.clients?.() ?? Object.freeze({}),
    );
    this.#made.set(name, made);
    // The next plan tries again.
    made.catch(() => this.#made.delete(name));
    return made;
  };

  async close(): Promise<void> {
    for (const made of await Promise.allSettled([...this.#made.values()])) {
      if (made.status === 'fulfilled') await closeOf(made.value);
    }
  }
}

async function closeOf(clients: { readonly close?: unknown }): Promise<void> {
  if (typeof clients.close === 'function') await (clients.close as () => unknown)();
}
