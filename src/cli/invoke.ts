import { jobInfos, type OperationContext, type OperationFlags } from '../operations/context.js';
import type { OperationName, Operations } from '../operations/list.js';
import type { InputOf, Operation, OutputOf } from '../operations/operation.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { createLogger } from '../telemetry/log.js';
import { actingPrincipal } from './acting.js';
import type { Installation, OpenPlatform, Purpose } from './app-port.js';
import { withInstallation, withLook, type Context } from './context.js';
import type { Server } from './credentials.js';

/** Calls an operation, wherever it is carried out. Throws what the operation throws. */
export type Invoke = <Name extends OperationName>(
  name: Name,
  input: InputOf<Operations[Name]>,
) => Promise<OutputOf<Operations[Name]>>;

/** How long a server may take to answer. */
const ANSWER_MS = 60_000;

/**
 * Does `work` with operations that are carried out by the server that the command works on, or else in this process, on
 * the database that is opened for as long as that takes. Either way they are the same, and check the same.
 */
export function withInvoke<T>(
  context: Context,
  purpose: Extract<Purpose, 'look' | 'change'>,
  work: (invoke: Invoke) => Promise<T>,
): Promise<T> {
  const server = context.server?.();
  if (server !== undefined) return invokeAt(server).then(work);
  const here = (installation: Installation): Promise<T> => invokingHere(context, installation, work);
  return purpose === 'look' ? withLook(context, here) : withInstallation(context, here, purpose);
}

export async function invokeAt(
  server: Pick<Server, 'url'> & Partial<Server>,
  ms = ANSWER_MS,
): Promise<Invoke> {
  const { createClient } = await import('../client/client.js');
  const client = createClient(server);
  return async (name, input) => {
    // It bounds the answer, and of a stream its beginning: that may take as long as its lines are read.
    const slow = new AbortController();
    const timer = setTimeout(() => slow.abort(new Error(`no answer within ${ms / 1_000} s`)), ms);
    try {
      return await client.call(name, ...([input, { signal: slow.signal }] as never));
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Operations that show flags: they wait for the source of flags to be heard, which is opened for them alone. */
const SHOWS_FLAGS: ReadonlySet<OperationName> = new Set(['getStatus', 'revertFlag']);
/** Operations that say what a gate would be answered: they hear flags as a worker does. */
const HEARS_FLAGS: ReadonlySet<OperationName> = new Set(['explainFlag']);

/** The same on an installation that is open. */
export async function invokingHere<T>(
  context: Context,
  installation: Installation,
  work: (invoke: Invoke) => Promise<T>,
): Promise<T> {
  const [{ OPERATIONS }, { partsOf }] = await Promise.all([
    import('../operations/list.js'),
    import('../operations/operation.js'),
  ]);
  let desk: Desk | undefined;
  let heard: OpenPlatform | undefined;
  const works = await operationContext(context, installation, () => ({
    ...(desk ?? NO_DESK),
    look: (flag) => (heard ?? absent()).workerContext.flags.look(flag),
    evaluate: (flag, unit) => (heard ?? absent()).evaluate(flag, unit),
  }));
  const caller = { id: '', ...(await actingPrincipal(context, installation)) };
  try {
    return await work(async (name, input) => {
      if (SHOWS_FLAGS.has(name)) desk ??= await context.app.flags(installation);
      if (HEARS_FLAGS.has(name)) heard ??= await context.app.platform(installation, true);
      const operation = OPERATIONS[name] as unknown as Operation;
      const { body } = await operation.answer(works, { ...partsOf(operation, input as object), caller });
      return body as never;
    });
  } finally {
    await heard?.close();
    await desk?.close();
  }
}

type Desk = Awaited<ReturnType<Context['app']['flags']>>;

const NO_DESK = { source: absent, list: absent, set: absent };

function absent(): never {
  throw new Error('a command does not serve');
}

/** What a command has of what operations work on: no process serves here, so there is nothing to measure or to drop. */
async function operationContext(
  { app }: Context,
  installation: Installation,
  flags: () => OperationFlags,
): Promise<OperationContext> {
  const { control, regionDatabases, jobs } = installation;
  const policies = await app.policies(installation);
  return {
    ...{
      control,
      regionDatabases,
      receivers: undefined,
      dropGate: absent,
      log: createLogger({ level: 'silent' }),
    },
    showsReasons: true,
    get metrics() {
      return absent();
    },
    get feed() {
      return absent();
    },
    get flags() {
      return flags();
    },
    flagsAt: flagsAt(app.settings.flagSource),
    jobs: () => jobInfos(jobs, policies),
    installed: () => jobs,
    readiness: absent,
    examine: () => app.examine(installation),
  };
}
