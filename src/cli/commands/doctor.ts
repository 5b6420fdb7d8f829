import type { Command } from 'commander';
import { failed, type Check, type Finding as Examined } from '../../doctor/patient.js';
import { messageOf } from '../../kernel/errors.js';
import { refuseUnfit } from '../acting.js';
import type { Settings } from '../app-port.js';
import { http } from '../checks/http.js';
import { disk, folder, node } from '../checks/machine.js';
import { policyFiles } from '../checks/policies.js';
import { voiceOf, type Context } from '../context.js';
import { findingsText } from '../findings-text.js';
import { invokeAt } from '../invoke.js';
import { leaf } from '../leaf.js';
import { withProgress } from '../progress.js';

export function addDoctor(program: Command, context: Context): void {
  const command = leaf(
    program,
    'doctor',
    'Check this installation and print a hint for each problem. Exits with 1 when there is one.',
    ['portcullis doctor', 'portcullis doctor --json'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const findings = await withProgress(context.io.stderr, 'examining the installation', () =>
      examine(context),
    );
    const failures = findings.filter(({ mark }) => mark === 'fail').length;
    voice.result({ healthy: failures === 0, findings }, () => findingsText(voice, findings));
    if (failures > 0) context.io.exitWith(1);
  });
}

/** `not-checked`: what only the machine itself can show. */
type Finding = Omit<Examined, 'mark'> & { readonly mark: Examined['mark'] | 'not-checked' };

/** What can be looked at without a database. */
const MACHINE_CHECKS: readonly Check<Settings>[] = [node, folder, disk, http];

const POLICIES = 'policies';

/** What needs no database is looked at even where there is none to be had. */
async function examine(context: Context): Promise<Finding[]> {
  const server = context.server?.();
  if (server !== undefined) {
    const invoke = await invokeAt(server);
    const { findings } = await invoke('examineInstallation', {});
    const found = `not checked from a server: give portcullis doctor on the machine of ${server.url}`;
    const unchecked = [...MACHINE_CHECKS.map(({ name }) => name), POLICIES];
    return [...unchecked.map((check): Finding => ({ check, mark: 'not-checked', found })), ...findings];
  }
  const { app } = context;
  const findings = (await Promise.all(MACHINE_CHECKS.map((check) => made(check, app.settings)))).flat();
  const opened = await app.open('look').catch((error: unknown) => failure('database', error));
  if ('mark' in opened) return [...findings, opened];
  try {
    await refuseUnfit({ app }, opened);
    findings.push(...(await app.examine(opened)));
    findings.push(
      await policyFiles(opened).then(
        (finding) => ({ check: POLICIES, ...finding }),
        (error: unknown) => failure(POLICIES, error),
      ),
    );
  } finally {
    await opened.close();
  }
  return findings;
}

/** A check that cannot be made is a finding too. */
async function made(check: Check<Settings>, settings: Settings): Promise<Examined[]> {
  try {
    return (await check.examine(settings)).map((finding) => ({ check: check.name, ...finding }));
  } catch (error) {
    return [failure(check.name, error)];
  }
}

function failure(check: string, error: unknown): Examined {
  return failed(check, messageOf(error), error);
}
