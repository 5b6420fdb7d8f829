import type { Output } from './terminal.js';

/** A terminal's alternate screen: drawn over in place, and what was there before comes back at the end. */
export class Screen {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
    // Alternate screen, no cursor, and lines that are too long are cut and not wrapped.
    output.write('\u001b[?1049h\u001b[?25l\u001b[?7l');
  }

  /** Draws text from the top. What does not fit below is left out. */
  draw(text: string): void {
    const lines = text.split('\n');
    const shown = lines.slice(0, Math.max(1, this.#output.rows - 1));
    this.#output.write(`\u001b[H${shown.map((line) => `${line}\u001b[K\r\n`).join('')}\u001b[J`);
  }

  end(): void {
    this.#output.write('\u001b[?7h\u001b[?25h\u001b[?1049l');
  }
}
