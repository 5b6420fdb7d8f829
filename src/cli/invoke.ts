import { jobInfos, type OperationContext, type OperationFlags } from '../operations/context.js';
import type { OperationName } from '../operations/list.js';
import type { Operation } from '../operations/operation.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { actingPrincipal } from './acting.js';
import type { Installation, OpenPlatform, Purpose } from './app-port.js';
import { withInstallation, withLook, type Context } from './context.js';
import { invokeAt, type Invoke } from './invoke-at.js';

export { invokeAt, type Invoke } from './invoke-at.js';

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

/** Operations that show flags: they wait for the source of flags to be heard, which is opened for them alone. */
const SHOWS_FLAGS: ReadonlySet<OperationName> = new Set(['getStatus', 'revertFlag', 'setFlag']);
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
  const [policies, { createLogger }] = await Promise.all([
    app.policies(installation),
    // Whoever kills on the database itself invokes nothing, and loads no log.
    import('../telemetry/log.js'),
  ]);
  return {
    ...{
      control,
      regionDatabases,
      receivers: undefined,
      dropGate: absent,
      log: createLogger({ level: 'silent' }),
    },
    showsReasons: true,
    grafanaUrl: app.settings.grafanaUrl,
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
    // Files are read and written here, not sent.
    files: [],
    uploadBytes: 0,
    readiness: absent,
    examine: () => app.examine(installation),
  };
}
