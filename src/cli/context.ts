import type { Command } from 'commander';
import { recordRefusal } from '../access/refusals.js';
import type { App, Installation, OpenPlatform } from './app-port.js';
import { printableLines } from './display-width.js';
import { withProgress } from './progress.js';
import { type Column, renderFacts, renderTable, type Cell, type Row, type TableOptions } from './table.js';
import type { Terminal } from './terminal.js';
import { painter, type Paint } from './tone.js';

/** What every command works with. */
export interface Context {
  readonly app: App;
  readonly io: Terminal;
}

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

  tableOptions(): TableOptions {
    return { paint: this.paint, columns: this.#io.stdout.columns };
  }
}

/** The voice that a command's options ask for. */
export function voiceOf(context: Context, command: Command): Voice {
  return new Voice(context.io, command.optsWithGlobals<{ json?: boolean }>().json === true);
}

/** Opens the installation for as long as `work` takes. */
export async function withInstallation<T>(
  { app, io }: Context,
  work: (installation: Installation) => Promise<T>,
  options?: Parameters<App['open']>[0],
): Promise<T> {
  for (const text of app.settings.warnings) io.stderr.write(`warning: ${text}\n`);
  const installation = await withProgress(io.stderr, 'opening the database', () => app.open(options));
  try {
    return await work(installation);
  } catch (error) {
    // The refusal is what is told; whether it could be put on record too changes nothing about it.
    await recordRefusal(installation.control, error).catch(() => undefined);
    throw error;
  } finally {
    await installation.close();
  }
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
