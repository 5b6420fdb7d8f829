import { expect, test } from '@jest/globals';
import { ACTS } from '../../src/demo/tour/script.js';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';

/** The tour, as a newcomer takes it: beside a real `portcullis start --sample`, twice. */

const database = await testDatabase();
const { owner } = database;
const home = await temporaryFolder();
const env = {
  ...{ PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: home },
  ...{ PORTCULLIS_HTTP: '127.0.0.1:0', PORTCULLIS_LOG_LEVEL: 'warn' },
};

interface Shown {
  readonly acts: readonly {
    readonly act: string;
    readonly commands: readonly string[];
    readonly result: readonly string[];
  }[];
  readonly ms: number;
}

const tour = (...more: string[]) => portcullis(['tour', ...more], { env }).finished;

async function inForce(): Promise<unknown> {
  const { rows } = await owner.query(
    `select job, region, enabled, variants from portcullis_control.flag order by 1, 2`,
  );
  const { rows: policies } = await owner.query(`select source from portcullis_control.policy`);
  return { rows, policies };
}

test('shows every act, and puts back what it changed; a second one finds something to show too', async () => {
  const { child, finished } = portcullis(['start', '--sample', '--run-now', '--json'], { env });
  let text = '';
  child.stdout?.on('data', (part: string) => (text += part));
  await until('the first runs are over', () => text.includes('"waiting"'));
  const before = await inForce();
  for (const turn of ['first', 'second']) {
    const { code, stdout, stderr } = await tour('--json');
    expect({ turn, code, stderr }).toMatchObject({ turn, code: 0 });
    const { acts } = JSON.parse(stdout) as Shown;
    expect(acts.map(({ act }) => act)).toEqual(ACTS.map(({ id }) => id));
    const resultOf = (id: string): string =>
      acts.find(({ act }) => act === id)?.result.join('\n') ?? 'it was not played';
    // Every command is filled in, so that it can be typed.
    expect(acts.flatMap(({ commands }) => commands).filter((command) => /[{}]/.test(command))).toEqual([]);
    expect(resultOf('good')).toContain('demo has looked at the evidence');
    expect(resultOf('stopped')).toMatch(/planned \d+ changes and wrote 0: claims-are-asked-for/);
    expect(resultOf('logins')).toMatch(/wrote \d+ changes; [\s\S]*killed: logins: /);
    const [, hurt] = /: (\d+) rows of \d+ organisations/.exec(resultOf('impact')) ?? [];
    expect(resultOf('restore')).toBe(`${hurt} rows put back; 0 had changed since and were skipped`);
    expect(resultOf('rearm')).toContain('no second human has agreed');
    expect(resultOf('audit')).toMatch(/\d+ entries verified/);
    expect(await inForce()).toEqual(before);
  }
  const { rows } = await owner.query(
    `select count(*) filter (where evidence ->> 'state' = 'done') as done from portcullis_control.audit where action = 'tour'`,
  );
  expect(rows).toEqual([{ done: 2 * ACTS.length }]);

  // Elsewhere than in the sample world it refuses, before anything is changed.
  await owner.query(
    `insert into directory.organisation (id, name, home_region, consent) values ('acme', 'Acme', 'eu-west-1', 'none')`,
  );
  const refused = await tour();
  expect(refused).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('plays in the sample world alone') as unknown,
  });

  await owner.query(`delete from directory.organisation where id = 'acme'`);
  child.kill('SIGTERM');
  await finished;
  const alone = await tour();
  expect(alone).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no portcullis start is running here') as unknown,
  });
}, 600_000);
