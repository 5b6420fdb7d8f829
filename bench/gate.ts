import assert from 'node:assert/strict';
import { Unleash } from 'unleash-client';
import { flagName } from '#dist/flags/definition.js';
import { EmbeddedSource } from '#dist/flags/embedded-source.js';
import { PortcullisProvider } from '#dist/flags/provider.js';
import { openPool } from '#dist/postgres/pool.js';
import { inTurns, secondsOf, type Bench } from './bench.js';

const ORGANISATIONS = 1_000_000;
const CANDIDATE = '2.0.0_0badc0de';
const STABLE = '1.0.0_5afec0de';
const FLAG = { job: 'bench-gate', region: 'r1' };

export const gate: Bench = {
  name: 'gate',
  ours: 'admit 1 M organisations in bulk',
  reference: 'ask unleash-client for each',
  unit: 's',
  ratio: 'speed',
  reach: 3,
  runs: 5,
  async measure(context) {
    const template = await context.server.template('gate', async (owner) => {
      await owner.query(
        `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
         values ($1, $2, true, $3, 'the bench', 'bench')`,
        [
          FLAG.job,
          FLAG.region,
          JSON.stringify([
            { version: CANDIDATE, permille: 125 },
            { version: STABLE, permille: 600 },
          ]),
        ],
      );
      await owner.query(
        `insert into portcullis_control.admission (job, region, version, permille, source, reason, changed_by)
         select $1, $2, unnest($3::text[]), 1000, 'initial', 'the bench', 'bench'`,
        [FLAG.job, FLAG.region, [CANDIDATE, STABLE]],
      );
    });
    const database = await context.server.copyOf(template);
    const pool = openPool(database.workerUrl, { name: 'bench flags', max: 2 });
    const source = new EmbeddedSource(pool);
    const provider = new PortcullisProvider(source);
    await provider.initialize();
    const unleash = new Unleash({
      appName: 'bench',
      url: 'http://unleash.invalid/',
      repository: source.repository,
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
    });
    await unleash.start();
    const name = flagName(FLAG.job, FLAG.region);
    const units = Array.from({ length: ORGANISATIONS }, (_, n) => `org-${n.toString(36).padStart(6, '0')}`);
    let admitted: Iterable<string> = [];
    let asked: Iterable<string> = [];
    const inBulk = (): Promise<void> => {
      const answer = provider.look(name);
      if (!answer.open) throw new Error(answer.reason);
      admitted = provider.admit(answer.definition, CANDIDATE, units);
      return Promise.resolve();
    };
    const oneByOne = (): Promise<void> => {
      const found = new Set<string>();
      for (const unit of units) {
        if (unleash.getVariant(name, { userId: unit }).name === CANDIDATE) found.add(unit);
      }
      asked = found;
      return Promise.resolve();
    };
    try {
      const figures = await inTurns(
        context,
        () => secondsOf(inBulk),
        () => secondsOf(oneByOne),
      );
      assert.deepEqual([...admitted], [...asked], 'both admit the same organisations');
      return figures;
    } finally {
      unleash.destroy();
      await provider.onClose();
      await pool.end();
      await database.drop();
    }
  },
};
