import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { defineJob, table } from '#dist/sdk/index.js';
import { testJob } from '#dist/testing/index.js';
import { inTurns, median, secondsOf, type Bench } from './bench.js';
import { temporaryFolder } from './server.js';

/** Two tables with a few rows, as an author's tests have. */
const TABLES = `
  create table teams (id text primary key, region text not null);
  create table members (id int primary key, team text not null references teams, state text not null);
  insert into teams select 'team-' || n, 'eu' from generate_series(1, 20) n;
  insert into members select n, 'team-' || (1 + n % 20), 'new' from generate_series(1, 200) n;`;
const TEMPLATE = 'test_kit';
/** What authors are promised, on a machine with nothing else to do. */
const LONGEST_S = 2;
const CHECKSUM = `select md5(string_agg(m::text, '|' order by m.id)) as sum from members m`;

const greeting = defineJob({
  name: 'greeting',
  version: '1.0.0',
  unit: { table: 'public.teams', key: 'id', region: 'region' },
  resources: { member: table('public.members', { key: 'id', changes: ['state'], compares: ['team'] }) },
  kinds: { greet: 'member' },
  async *plan({ rows }) {
    for await (const { id, ...before } of rows<{ id: number; state: string; team: string }>`
      select id, state, team from members order by id`)
      yield {
        ...({ kind: 'greet', resource: 'member', key: String(id), unit: before.team } as const),
        ...{ before, after: { state: 'greeted' }, evidence: {} },
      };
  },
});

export const testKit: Bench = {
  name: 'test-kit',
  ours: 'a test of portcullis/testing after the first: its database, a run of 200 changes, restored exactly',
  reference:
    'by hand: a copy of the same database, the rows set and set back in two statements, and compared',
  unit: 's',
  ratio: 'growth',
  reach: 10,
  runs: 7,
  async measure(context) {
    const { server } = context;
    const template = await server.template(TEMPLATE, async (owner) => {
      await owner.query(TABLES);
    });
    // The kit makes its databases on the bench's server.
    const place = await server.copyOf(template);
    process.env['PORTCULLIS_TEST_SERVER'] = place.ownerUrl;
    const schema = join(temporaryFolder(), 'schema.sql');
    await writeFile(schema, TABLES);
    const exact = testJob(greeting, { schema, region: 'eu' })(async (job) => {
      const run = await job.run();
      run.expect({ status: 'succeeded', applied: { greet: 200 } });
      await job.restoreExactly(run);
    });
    const admin = new pg.Client({ connectionString: place.ownerUrl });
    await admin.connect();
    try {
      const figures = await inTurns(
        context,
        () => secondsOf(exact),
        () => secondsOf(() => byHand(admin, template, place.ownerUrl)),
      );
      const seconds = median(figures.ours);
      if (seconds > LONGEST_S)
        context.progress(`a test takes ${seconds.toFixed(1)} s, more than ${LONGEST_S} s`);
      return figures;
    } finally {
      await admin.end();
      await place.drop();
    }
  },
};

async function byHand(admin: pg.Client, template: string, url: string): Promise<void> {
  const name = 'test_kit_by_hand';
  await admin.query(`create database ${name} template ${template}`);
  const client = new pg.Client({
    connectionString: Object.assign(new URL(url), { pathname: `/${name}` }).toString(),
  });
  await client.connect();
  const checksum = async (): Promise<unknown> => (await client.query<{ sum: string }>(CHECKSUM)).rows[0]?.sum;
  const before = await checksum();
  await client.query(`update members set state = 'greeted' where state = 'new'`);
  await client.query(`update members set state = 'new' where state = 'greeted'`);
  const same = before === (await checksum());
  await client.end();
  await admin.query(`drop database ${name} with (force)`);
  if (!same) throw new Error('the reference did not restore its rows');
}
