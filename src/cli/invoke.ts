import { jobInfos, type OperationContext } from '../operations/context.js';
import type { OperationName, Operations } from '../operations/list.js';
import type { InputOf, Operation, OutputOf } from '../operations/operation.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { createLogger } from '../telemetry/log.js';
import { actingPrincipal } from './acting.js';
import type { Installation, Purpose } from './app-port.js';
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
  const here = async (installation: Installation): Promise<T> =>
    work(await invokeHere(context, installation));
  return purpose === 'look' ? withLook(context, here) : withInstallation(context, here, purpose);
}

export async function invokeAt(
  server: Pick<Server, 'url'> & Partial<Server>,
  ms = ANSWER_MS,
): Promise<Invoke> {
  const { createClient } = await import('../client/client.js');
  const client = createClient(server);
  return (name, input) => client.call(name, ...([input, { signal: AbortSignal.timeout(ms) }] as never));
}

async function invokeHere(context: Context, installation: Installation): Promise<Invoke> {
  const [{ OPERATIONS }, { partsOf }] = await Promise.all([
    import('../operations/list.js'),
    import('../operations/operation.js'),
  ]);
  const works = await operationContext(context, installation);
  const caller = { id: '', ...(await actingPrincipal(context, installation)) };
  return async (name, input) => {
    const operation = OPERATIONS[name] as unknown as Operation;
    const { body } = await operation.answer(works, { ...partsOf(operation, input as object), caller });
    return body as never;
  };
}

/** What a command has of what operations work on: no process serves here, so there is nothing to measure or to drop. */
async function operationContext({ app }: Context, installation: Installation): Promise<OperationContext> {
  const { control, planes, jobs } = installation;
  const policies = await app.policies(installation);
  const absent = (): never => {
    throw new Error('a command does not serve');
  };
  return {
    ...{ control, planes, receivers: 0, dropGate: absent, log: createLogger({ level: 'silent' }) },
    get metrics() {
      return absent();
    },
    get flags() {
      return absent();
    },
    flagsAt: flagsAt(app.settings.flagSource),
    jobs: () => jobInfos(jobs, policies),
    installed: () => jobs,
    readiness: absent,
  };
}
