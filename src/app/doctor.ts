import { readIdentityFile } from '../access/identity-file.js';
import type { Installation } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { examine } from '../doctor/examine.js';
import type { Finding, Hearing, Patient } from '../doctor/patient.js';
import { sourceView } from '../flags/flag-desk.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { readReceivers } from '../notify/receivers.js';
import { openPlatform, type WiredPlatform } from './platform.js';

/** What the doctor finds from the command line, which has the databases' addresses: flags are heard for it alone. */
export function examineHere(config: Config, installation: Installation): Promise<readonly Finding[]> {
  return examine({ ...patientOf(config, installation), address: installation.database }, async () => {
    const wired = await openPlatform(config, installation, true);
    return { ...hearingOf(config, wired), close: () => wired.close() };
  });
}

/**
 * What the doctor finds in the process that serves, for callers who are not told where databases are. Whoever asks
 * meanwhile is answered by the examination that is under way.
 */
export function examineServing(
  config: Config,
  installation: Installation,
  wired: WiredPlatform,
): () => Promise<readonly Finding[]> {
  let underWay: Promise<readonly Finding[]> | undefined;
  return () =>
    (underWay ??= examine(patientOf(config, installation), () =>
      Promise.resolve(hearingOf(config, wired)),
    ).finally(() => (underWay = undefined)));
}

function patientOf(config: Config, installation: Installation): Patient {
  const { control, regionDatabases, databases, jobs, concurrentRuns } = installation;
  const { flagSource, directDatabaseUrl, publicUrl, identityFile, oidcClientSecret, notify } = config;
  return {
    ...{
      control,
      regionDatabases,
      databases,
      jobs,
      concurrentRuns,
      flagSource,
      directDatabaseUrl,
      publicUrl,
    },
    identity: () => readIdentityFile(identityFile, { clientSecret: oidcClientSecret, publicUrl }),
    receivers: () => readReceivers(notify),
  };
}

function hearingOf({ flagSource }: Config, { workerContext, source }: WiredPlatform): Hearing {
  const { flags, clients } = workerContext;
  return { flags, clients, source: sourceView(source, flagsAt(flagSource) ?? null) };
}
