import { basename } from 'node:path';
import type { Command } from 'commander';
import { messageOf, PortcullisError } from '../../kernel/errors.js';
import { countOf, listOf } from '../../kernel/words.js';
import type { PolicyDiff } from '../../flags/policy-diff.js';
import type { TriedJobs } from '../app-port.js';
import { configOption } from '../config-option.js';
import { voiceOf, withLook, type Context } from '../context.js';
import { findingsText, type ShownFinding } from '../findings-text.js';
import { invokeAt, invokingHere, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { diffsSummary } from '../policy-text.js';
import { withProgress } from '../progress.js';
import { counts } from '../wording.js';

export function addCheck(program: Command, context: Context): void {
  const command = leaf(
    program,
    'check',
    'Check the jobs of the configuration file, for CI: declarations, plans, rules, policies.\n' +
      "On a database of its own with the file's development.schema, each job is planned in each region of its policy, and nothing is written.\n" +
      'Shows what the policies would change of those in force, where a control database or a server is configured. Exits with 1 when there is a problem.',
    ['portcullis check', 'portcullis check --config portcullis.config.ts --json'],
  )
    .addOption(configOption())
    .action(async ({ config }: { config?: string }) => {
      const voice = voiceOf(context, command);
      const tried = await withProgress(context.io.stderr, 'planning the jobs', () =>
        context.app.authoring.tryJobs(config),
      );
      const compared = await differenceOf(context, tried);
      const findings = [...findingsOf(tried), ...(tried.policies.length === 0 ? [] : [compared.finding])];
      const ok = findings.every(({ mark }) => mark !== 'fail');
      voice.result(
        { ok, findings, plans: tried.plans.map(planView), policies: compared.diffs ?? null },
        () => {
          const text = findingsText(voice, findings);
          return compared.diffs === undefined
            ? text
            : `${text}\n${diffsSummary(voice.paint, compared.diffs)}`;
        },
      );
      if (!ok) context.io.exitWith(1);
    });
}

/** A plan without its changes, which may be many. */
function planView({ job, region, status, reason, planned, verdicts }: TriedJobs['plans'][number]) {
  return { job, region, status, reason, planned, verdicts };
}

function findingsOf({ file, jobs, plans, faults, onSchema }: TriedJobs): ShownFinding[] {
  const faulty = new Set(faults.map(({ what }) => what));
  const fine = plans.filter(({ job, region }) => !faulty.has(`${job} in ${region}`));
  return [
    ...(jobs.length === 0
      ? []
      : [
          {
            check: basename(file),
            mark: 'ok',
            found: `${countOf(jobs.length, 'job')}: ${listOf(jobs)}`,
          } as const,
        ]),
    ...fine.map(({ job, region, planned, verdicts }): ShownFinding => ({
      check: `${job} in ${region}`,
      mark: 'ok',
      found: `planned ${counts(planned)}; ${countOf(verdicts.length, 'rule')} judged it`,
    })),
    ...(jobs.length > 0 && !onSchema
      ? [
          {
            check: 'plans',
            mark: 'not-checked',
            found: `${basename(file)} names no development.schema to plan on`,
          } as const,
        ]
      : []),
    ...faults.map(({ what, message, hint }): ShownFinding => ({
      ...{ check: what, mark: 'fail', found: message },
      ...(hint !== undefined && hint !== '' && { hint }),
    })),
  ];
}

interface Compared {
  readonly finding: ShownFinding;
  readonly diffs?: readonly PolicyDiff[];
}

const CHECK = 'policies in force';

/** What the policy files would change. A database or server that is configured and does not answer is a problem. */
async function differenceOf(context: Context, { policies }: TriedJobs): Promise<Compared> {
  const files = policies.map(({ file, text }) => ({ file, text }));
  const compare = (invoke: Invoke) => invoke('diffPolicies', { files });
  const server = context.server?.();
  if (server === undefined && !context.app.settings.hasDatabase) {
    const found = 'not compared: neither a control database nor a server is configured';
    return { finding: { check: CHECK, mark: 'not-checked', found } };
  }
  try {
    const { same, policies: diffs } = await (server === undefined
      ? withLook(context, (installation) => invokingHere(context, installation, compare), { jobs: false })
      : invokeAt(server).then(compare));
    const found = same ? 'the same as the files' : `${countOf(diffs.length, 'policy', 'policies')} compared`;
    return { finding: { check: CHECK, mark: 'ok', found }, ...(!same && { diffs }) };
  } catch (error) {
    const hint = error instanceof PortcullisError ? error.hint : undefined;
    return { finding: { check: CHECK, mark: 'fail', found: messageOf(error), hint } };
  }
}
