import { setTimeout } from 'node:timers/promises';
import { type ClientFeaturesResponse, InMemStorageProvider, UnleashEvents } from 'unleash-client';
import unleashRepository from 'unleash-client/lib/repository/index.js';
import { messageOf } from '../kernel/errors.js';
import { type Feature, FlagRepository, type Segment, type SourcedFlag } from './flag-repository.js';
import {
  Hearing,
  type ChangeListener,
  type MonotonicClock,
  type SourceProblem,
  type SourceState,
} from './hearing.js';
import { type AdmissionFeed, bothStates, type FlagSource } from './source.js';
import type { Admissions } from './admission.js';
import { definitionOf } from './unleash-definition.js';

type Client = InstanceType<typeof unleashRepository.default>;

export interface UnleashSourceOptions {
  /** The server's API, such as `https://unleash.example.com/api/`. */
  readonly url: string;
  /** A backend token. Asked for at each poll, so that a token that is replaced needs no restart. */
  readonly token: () => string | Promise<string>;
  /** How far versions are admitted, which an Unleash server does not say. */
  readonly admissions: AdmissionFeed;
  readonly appName?: string;
  /** Default 1 s. */
  readonly pollMs?: number;
  /** The longest that one request may take. Default 5 s. */
  readonly timeoutMs?: number;
  /** How soon a new client follows one that was refused, doubling up to 30 s. Default 1 s. */
  readonly retryMs?: number;
  readonly now?: MonotonicClock;
}

const LONGEST_RETRY_MS = 30_000;

/**
 * Flags from an Unleash server, through unleash-client's own repository; nothing is ever read from or kept
 * in a file. unleash-client stops polling for good after one 401 or 403 and goes on answering what it last
 * heard: that closes the source here, and a new client takes the old one's place until one is let in. The
 * same for one that has said nothing for longer than any of its own retries takes.
 */
export class UnleashSource implements FlagSource {
  readonly name = 'unleash';
  readonly repository = new FlagRepository();
  readonly #options: Required<Omit<UnleashSourceOptions, 'now'>>;
  readonly #hearing: Hearing;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor({ now, ...options }: UnleashSourceOptions) {
    this.#options = { appName: 'portcullis', pollMs: 1_000, timeoutMs: 5_000, retryMs: 1_000, ...options };
    this.#hearing = new Hearing(now);
  }

  get admissions(): Admissions {
    return this.#options.admissions.admissions;
  }

  async start(): Promise<void> {
    this.#running ??= this.#run();
    await Promise.all([this.#options.admissions.start(), this.#hearing.first(this.#options.timeoutMs)]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#options.admissions.stop(), this.#running]);
  }

  state(): SourceState {
    const own = { ...this.#hearing.state(), polledMs: this.#options.pollMs };
    return bothStates(own, this.#options.admissions.state());
  }

  onChange(listener: ChangeListener): () => void {
    const ends = [this.#hearing.onChange(listener), this.#options.admissions.onChange(listener)];
    return () => {
      for (const end of ends) end();
    };
  }

  /** Keeps one live client: replaces it when it was refused or has fallen silent. */
  async #run(): Promise<void> {
    const stopping = this.#stopping.signal;
    let losses = 0;
    while (!stopping.aborted) {
      const startedAtMs = this.#hearing.now();
      const lost = new AbortController();
      const client = this.#connect(lost);
      await aborted(AbortSignal.any([lost.signal, stopping]));
      lost.abort();
      client.stop();
      // A request in flight may fail after this, and an `error` event that nobody hears ends the process.
      client.on(UnleashEvents.Error, () => undefined);
      const wasHeard = this.#hearing.state().heardAgeMs < this.#hearing.now() - startedAtMs;
      losses = wasHeard ? 1 : losses + 1;
      const pauseMs = Math.min(LONGEST_RETRY_MS, this.#options.retryMs * 2 ** (losses - 1));
      await setTimeout(pauseMs, undefined, { signal: stopping, ref: false }).catch(() => undefined);
    }
  }

  /** Starts a client. `lost` is aborted when it was refused, or was silent for longer than its retries take. */
  #connect(lost: AbortController): Client {
    const { url, token, appName, pollMs, timeoutMs } = this.#options;
    let askedAtMs = this.#hearing.now();
    const client = new unleashRepository.default({
      url: url.endsWith('/') ? url : `${url}/`,
      appName,
      instanceId: `${appName}-${process.pid}`,
      connectionId: crypto.randomUUID(),
      refreshInterval: pollMs,
      timeout: timeoutMs,
      customHeadersFunction: async () => {
        askedAtMs = this.#hearing.now();
        return { Authorization: await tokenFrom(token) };
      },
      bootstrapProvider: { readBootstrap: () => Promise.resolve(undefined) },
      storageProvider: new InMemStorageProvider<ClientFeaturesResponse>(),
      mode: { type: 'polling', format: 'full' },
    });
    const silence = globalThis.setTimeout(() => lost.abort(), 12 * pollMs + 4 * timeoutMs).unref();
    lost.signal.addEventListener('abort', () => clearTimeout(silence), { once: true });
    const trouble = (problem: SourceProblem): void => {
      silence.refresh();
      this.#hearing.trouble(problem);
      // What could not be understood must not pass for unchanged at the next poll.
      if (problem.code === 'flag-malformed') client.etag = undefined;
      if (problem.code === 'flag-unauthorised') lost.abort();
    };
    client.on(UnleashEvents.Changed, () => {
      silence.refresh();
      this.#take(client, askedAtMs);
    });
    client.on(UnleashEvents.Unchanged, () => {
      silence.refresh();
      this.#hearing.heard(askedAtMs, []);
    });
    client.on(UnleashEvents.Error, (error: unknown) => trouble(problemOf(error)));
    client.on(UnleashEvents.Warn, (warning: unknown) => trouble(away(warning)));
    client.start().catch((error: unknown) => trouble(problemOf(error)));
    return client;
  }

  #take(client: Client, askedAtMs: number): void {
    const features = client.getToggles();
    const segments = segmentsOf(client, features);
    const revision = revisionOf(client.etag);
    const flags = features.map((feature): SourcedFlag => {
      const found = definitionOf(feature, revision, segments);
      if (found === undefined) return { name: feature.name, feature };
      return { name: feature.name, found, ...(!('malformed' in found) && { feature }) };
    });
    this.#hearing.heard(askedAtMs, this.repository.replace(flags, revision, segments));
  }
}

/** Only those that a feature refers to: unleash-client does not tell the others. */
function segmentsOf(client: Client, features: readonly Feature[]): Segment[] {
  const ids = features.flatMap(({ strategies }) =>
    Array.isArray(strategies) ? strategies.flatMap(({ segments }) => segments ?? []) : [],
  );
  return [...new Set(ids)].flatMap((id) => client.getSegment(id) ?? []);
}

/** Unleash's ETag is `"query:revision"` or `"query:revision:variant"`; its revision grows with every change. */
function revisionOf(etag: string | undefined): number {
  const revision = /^(?:W\/)?"[^":]*:(\d{1,15})(?::[^"]*)?"$/.exec(etag ?? '')?.[1];
  return revision === undefined ? 0 : Number(revision);
}

/** What an error of unleash-client says about the server. An answer that can't be understood closes at once. */
function problemOf(error: unknown): SourceProblem {
  const message = messageOf(error);
  const reason = `Unleash: ${message}`;
  if (/responded (401|403)\b/.test(message)) return { code: 'flag-unauthorised', reason };
  const { name, type } = (error ?? {}) as { name?: unknown; type?: unknown };
  const unanswered = name === 'FetchError' && type !== 'invalid-json';
  if (unanswered || /statusCode/.test(message) || error instanceof TokenMissing) return away(error);
  return { code: 'flag-malformed', reason };
}

function away(error: unknown): SourceProblem {
  return { code: 'flag-unreachable', reason: `Unleash: ${messageOf(error)}` };
}

class TokenMissing extends Error {}

async function tokenFrom(token: UnleashSourceOptions['token']): Promise<string> {
  try {
    return await token();
  } catch (error) {
    throw new TokenMissing(`its token cannot be had: ${messageOf(error)}`, { cause: error });
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
