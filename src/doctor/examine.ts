import { lockedOut } from '../postgres/migrate.js';
import { clock, databaseVersion, planner, tables } from './database.js';
import { identity, unrecorded } from './identity.js';
import { installedJobs, ownChecks } from './jobs.js';
import { failed, reasonFor, type Check, type Finding, type Hearing, type Patient } from './patient.js';
import { pooler } from './pooler.js';
import { flags, permits, runs } from './running.js';
import { configuredReceivers, identityProviders } from './providers.js';
import { receivers } from './receivers.js';
import { connections, logins, migrations } from './set-up.js';

/** What the databases show, whatever schema they have. */
const SET_UP_CHECKS: readonly Check<Patient>[] = [migrations, logins, connections];

/** What an installation shows whose flags are heard. */
const CHECKS: readonly Check<Patient & Hearing>[] = [
  databaseVersion,
  pooler,
  clock,
  identity,
  unrecorded,
  planner,
  tables,
  installedJobs,
  flags,
  permits,
  runs,
  receivers,
  configuredReceivers,
  identityProviders,
  ownChecks,
];

/**
 * Looks for what is wrong with an installation; changes nothing. `hear` opens what running jobs takes; where it throws,
 * that is a finding, and the rest is left out.
 */
export async function examine(
  patient: Patient,
  hear: () => Promise<Hearing & { close?(): Promise<void> }>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const check of SET_UP_CHECKS) findings.push(...(await made(check, patient, patient)));
  let hearing;
  try {
    hearing = await hear();
  } catch (error) {
    return [...findings, failed('platform', reasonFor(patient, error), error)];
  }
  try {
    for (const check of CHECKS) findings.push(...(await made(check, { ...patient, ...hearing }, patient)));
  } finally {
    await hearing.close?.();
  }
  return findings;
}

/** A check that cannot be made is a finding too. */
async function made<Of>(check: Check<Of>, of: Of, patient: Patient): Promise<Finding[]> {
  try {
    return (await check.examine(of)).map((finding) => ({ check: check.name, ...finding }));
  } catch (error) {
    const owners = patient.databases.map(({ owner }) => owner);
    const told = await lockedOut(owners, error);
    return [failed(check.name, reasonFor(patient, told), told)];
  }
}
