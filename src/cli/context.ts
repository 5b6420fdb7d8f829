import type { Command } from 'commander';
import type { Action } from '../access/roles.js';
import { recordRefusal } from '../access/refusals.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { lockedOut, outdated } from '../postgres/migrate.js';
import { refuseUnfit } from './acting.js';
import type { Server } from './credentials.js';
import type { App, Installation, Opening, OpenPlatform, Purpose } from './app-port.js';
import { printableLines, wrapTo } from './display-width.js';
import { withProgress } from './progress.js';
import { type Column, renderFacts, renderTable, type Cell, type Row, type TableOptions } from './table.js';
import type { Terminal } from './terminal.js';
import { painter, type Paint } from './tone.js';

/** What every command works with. */
export type Context = ContextOf<App>;

export interface ContextOf<Of> {
  readonly app: Of;
  readonly io: Terminal;
  /** What the command that was given takes: see permissions.ts. */
  readonly right?: () => Action | undefined;
  /** The server that the command works on; undefined: the database itself. See remote.ts. */
  readonly server?: () => Server | undefined;
}

/** What a command works with that opens an installation, and needs no more of the app. */
export type OpeningContext = ContextOf<Pick<App, 'settings' | 'open'>>;

/** Adds a command to the program. */
export type AddCommand<Of = App> = (program: Command, context: ContextOf<Of>) => void;

/** How a command answers: as JSON where `--json` was given, else in words and tables for a person. */
export class Voice {
  readonly json: boolean;
  readonly paint: Paint;
  readonly #io: Terminal;

  constructor(io: Terminal, json: boolean) {
    this.#io = io;
    this.json = json;
    this.paint = painter(io.colour && !json);
  }

  /** A result: one JSON object on one line, or what `text` makes of it. */
  result(value: unknown, text: () => string): void {
    this.#io.stdout.write(this.json ? `${JSON.stringify(value)}\n` : this.printable(text()));
  }

  /** Text for a person, in which what others wrote moves no cursor and changes no colour. */
  printable(text: string): string {
    return printableLines(text, this.#io.colour);
  }

  /** A word to a person beside the result, on standard error; nothing with `--json`. */
  note(text: string): void {
    if (!this.json) this.#io.stderr.write(`${this.printable(text)}\n`);
  }

  table(columns: readonly Column[], rows: readonly Row[]): string {
    return renderTable(columns, rows, this.tableOptions());
  }

  facts(facts: readonly (readonly [string, Cell])[]): string {
    return renderFacts(facts, this.tableOptions());
  }

  /** A sentence, in lines as wide as the terminal. */
  sentence(text: string): string {
    return `${wrapTo(text, this.#io.stdout.columns).join('\n')}\n`;
  }

  tableOptions(): TableOptions {
    return { paint: this.paint, columns: this.#io.stdout.columns };
  }
}

/** The voice that a command's options ask for. */
export function voiceOf(context: Pick<Context, 'io'>, command: Command): Voice {
  return new Voice(context.io, command.optsWithGlobals<{ json?: boolean }>().json === true);
}

/** Opens the installation for as long as `work` takes, to change something unless another purpose is given. */
export async function withInstallation<T>(
  { app, io, right }: OpeningContext,
  work: (installation: Installation) => Promise<T>,
  purpose: Purpose = 'change',
  opening?: Opening,
): Promise<T> {
  for (const text of app.settings.warnings) io.stderr.write(`warning: ${text}\n`);
  const installation = await withProgress(io.stderr, 'opening the database', () =>
    app.open(purpose, opening),
  );
  try {
    // A kill looks for itself who kills, and needs no control database for it.
    if (purpose !== 'kill') await refuseUnfit({ app }, installation, right?.());
    return await work(installation).catch(async (error: unknown) => {
      const owners = installation.databases.map(({ owner }) => owner);
      throw ofSchema(installation, purpose === 'look' ? await lockedOut(owners, error) : error);
    });
  } catch (error) {
    // The refusal is what is told; whether it could be put on record too changes nothing about it.
    await recordRefusal(installation.control, error).catch(() => undefined);
    throw error;
  } finally {
    await installation.close();
  }
}

/** Opens the installation to look at it, whatever schema it has; says beforehand where that is not this program's. */
export function withLook<T>(
  context: Context,
  work: (installation: Installation) => Promise<T>,
  opening?: Opening,
): Promise<T> {
  return withInstallation(
    context,
    (installation) => {
      for (const note of schemaNotes(installation)) context.io.stderr.write(`${note}\n`);
      return work(installation);
    },
    'look',
    opening,
  );
}

/** A line for each database whose schema is not this program's. */
export function schemaNotes({ databases }: Installation): string[] {
  return databases.flatMap(({ name, schema }) => {
    if (schema === undefined || schema.standing === 'current') return [];
    if (schema.standing === 'older') {
      return [
        `${name}: the schema is older than this program (${countOf(schema.missing.length, 'migration')} missing); run portcullis migrate. What needs them is not shown.`,
      ];
    }
    return [
      `${name}: the schema is newer than this program (${schema.unknown.join(', ')}); use the newer Portcullis. What this one does not know is not shown.`,
    ];
  });
}

/** SQLSTATEs of a table, column, function or schema that is not there. */
const NOT_THERE = new Set(['42P01', '42703', '42883', '3F000']);

/** Whether an error comes of reading a schema that is not this program's. */
export function isOfOtherSchema({ databases }: Pick<Installation, 'databases'>, error: unknown): boolean {
  return (
    NOT_THERE.has(String((error as { code?: unknown } | null)?.code)) &&
    databases.some(({ schema }) => schema !== undefined && schema.standing !== 'current')
  );
}

/** What came of reading a schema that is not this program's, in place of the database's own words for it. */
function ofSchema({ databases }: Installation, error: unknown): unknown {
  if (!isOfOtherSchema({ databases }, error)) return error;
  for (const { name, schema } of databases) {
    if (schema === undefined || schema.standing === 'current') continue;
    return schema.standing === 'older' || schema.standing === 'empty'
      ? outdated(schema, name)
      : new PortcullisError(
          'DATABASE_NEWER',
          `${name} has migration ${schema.unknown[0] ?? ''}, which this program does not know: ${messageOf(error)}`,
          {
            hint: 'look with the newer Portcullis; kill and stop work with this one too',
            cause: error,
          },
        );
  }
  return error;
}

/** Opens what running jobs needs, on top of an installation, for as long as `work` takes. */
export async function withPlatform<T>(
  { app, io }: Context,
  installation: Installation,
  work: (open: OpenPlatform) => Promise<T>,
): Promise<T> {
  const open = await app.platform(installation, io.stderr.isTTY);
  try {
    return await work(open);
  } finally {
    await open.close();
  }
}
