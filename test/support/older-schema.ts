import { createHash } from 'node:crypto';
import type pg from 'pg';
import { RELEASED, releasedSql } from './old-schema.js';

/**
 * Makes a database as the first release did: its migrations, and its logins, which bore no marks. Answers the names
 * of its roles.
 */
export async function makeOlderSchema(owner: pg.Pool, database: string): Promise<Record<string, string>> {
  await owner.query(`create schema portcullis_store;
    create table portcullis_store.migration (name text primary key, sha256 text not null, ran_at timestamptz not null default clock_timestamp());
    create table portcullis_store.login (login text primary key, role text not null, password text not null)`);
  for (const name of RELEASED) {
    const sql = await releasedSql(name);
    await owner.query(sql);
    await owner.query('insert into portcullis_store.migration (name, sha256) values ($1, $2)', [
      `${name}.sql`,
      createHash('sha256').update(sql).digest('hex'),
    ]);
  }
  const roles = {
    worker: `${database}_worker`,
    planner: `${database}_planner`,
    guard: `${database}_guard`,
  };
  await owner.query(`
    create role ${roles.worker} login nosuperuser nocreatedb nocreaterole password 'old';
    create role ${roles.planner} login nosuperuser nocreatedb nocreaterole password 'old';
    alter role ${roles.planner} set default_transaction_read_only = on;
    create role ${roles.guard} nologin nosuperuser;
    insert into portcullis_store.login values ('worker', '${roles.worker}', 'old'), ('planner', '${roles.planner}', 'old');
    insert into portcullis_guard.reader values ('${roles.guard}');
    grant connect on database ${database} to ${roles.worker}, ${roles.planner};
    grant usage on schema portcullis_region, directory, portcullis_guard, portcullis_control to ${roles.worker};
    grant select, insert, update on portcullis_region.gate, portcullis_region.run to ${roles.worker};
    grant usage on schema directory to ${roles.planner};
    grant ${roles.guard} to ${roles.worker};
    grant ${roles.worker} to current_user`);
  return roles;
}
