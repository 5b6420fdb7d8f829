import pg from 'pg';
import { z } from 'zod';

/** A migration as the record has it: the name of its file, and what was in it. */
export interface RanFile {
  readonly name: string;
  readonly sha256: string;
}

/** A job's tables that an uninstall left where they were, with what Portcullis knew of them. */
export interface LeftTables {
  readonly job: string;
  readonly schemas: readonly string[];
  /** The migrations that made them. */
  readonly ran: readonly RanFile[];
  /** What the schemas' comments were before, in the order of the schemas. */
  readonly comments: readonly (string | null)[];
}

const Mark = z.strictObject({
  job: z.string(),
  schemas: z.array(z.string()),
  ran: z.array(z.strictObject({ name: z.string(), sha256: z.string() })),
  comment: z.string().nullable(),
});
type Mark = z.infer<typeof Mark>;

const PREFIX = 'Portcullis left these tables when it was uninstalled, and migrate takes them up again: ';

/** What is written on each schema of a job that stays: all that could tell afterwards whose it is, and how old. */
export async function marking(
  owner: pg.Pool,
  job: string,
  schemas: readonly string[],
  ran: readonly RanFile[],
): Promise<string[]> {
  const comments = await commentsOf(owner, schemas);
  return schemas.map((schema) => {
    const mark: Mark = { job, schemas: [...schemas], ran: [...ran], comment: comments.get(schema) ?? null };
    return commentOn(schema, `${PREFIX}${JSON.stringify(mark)}`);
  });
}

/**
 * The jobs' tables that an uninstall left in a database. Only whole ones: where somebody has dropped one of a job's schemas,
 * or has put another comment in the mark's place, its migrations would not make what is missing.
 */
export async function readLeft(database: pg.Pool | pg.PoolClient): Promise<LeftTables[]> {
  const { rows } = await database.query<{ name: string; comment: string }>(
    `select nspname as name, obj_description(oid, 'pg_namespace') as comment from pg_namespace
     where starts_with(obj_description(oid, 'pg_namespace'), $1) order by nspname`,
    [PREFIX],
  );
  const marks = new Map(rows.flatMap(({ name, comment }) => markIn(comment, name)));
  const found = new Map<string, LeftTables>();
  for (const { job, schemas, ran } of marks.values()) {
    const each = schemas.map((name) => marks.get(name));
    if (each.every((mark) => mark?.job === job))
      found.set(job, { job, schemas, ran, comments: each.map((mark) => mark?.comment ?? null) });
  }
  return [...found.values()];
}

function markIn(comment: string, schema: string): [string, Mark][] {
  try {
    const mark = Mark.parse(JSON.parse(comment.slice(PREFIX.length)));
    return mark.schemas.includes(schema) ? [[schema, mark]] : [];
  } catch {
    // It was edited.
    return [];
  }
}

/** SQL that records the tables as they were recorded. A comment on a schema is its owner's alone to change: nobody else's is taken up. */
export function takeUpSql({ job, schemas, ran, comments }: LeftTables): string {
  const of = pg.escapeLiteral(job);
  const named = schemas.map((name) => `(${pg.escapeLiteral(name)}, ${of})`);
  const files = ran.map(
    ({ name, sha256 }) => `(${of}, ${pg.escapeLiteral(name)}, ${pg.escapeLiteral(sha256)})`,
  );
  return [
    ...schemas.map((name, at) => commentOn(name, comments[at] ?? null)),
    `insert into portcullis_store.job_schema (name, job) values ${named.join(', ')}`,
    ...(files.length === 0
      ? []
      : [`insert into portcullis_store.job_migration (job, name, sha256) values ${files.join(', ')}`]),
  ]
    .map((sql) => `${sql};\n`)
    .join('');
}

function commentOn(schema: string, comment: string | null): string {
  return `comment on schema ${pg.escapeIdentifier(schema)} is ${comment === null ? 'null' : pg.escapeLiteral(comment)}`;
}

async function commentsOf(owner: pg.Pool, schemas: readonly string[]): Promise<Map<string, string | null>> {
  const { rows } = await owner.query<{ name: string; comment: string | null }>(
    `select nspname as name, obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = any ($1)`,
    [schemas],
  );
  return new Map(rows.map(({ name, comment }) => [name, comment]));
}
