/**
 * The terminal that a program runs in, and its process.
 *
 * @module
 */

/** A line on standard error that replaces the one before on a terminal; in a browser lines of the console. */
export class ProgressLine {
  readonly #terminal: boolean = globalThis.Deno?.stderr.isTerminal() ?? false;
  #open = false;

  /** Shows a line; off a terminal each line stands by itself. */
  show(text: string): void {
    this.#write(this.#terminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#open = this.#terminal;
  }

  /** Shows a line that stays. */
  print(text: string): void {
    this.#write(`${this.#terminal ? "\r\x1b[K" : ""}${text}\n`);
    this.#open = false;
  }

  /** Ends the line that is being replaced. */
  end(): void {
    if (this.#open) this.#write("\n");
    this.#open = false;
  }

  #write(text: string): void {
    if (globalThis.Deno) Deno.stderr.writeSync(new TextEncoder().encode(text));
    else console.info(text.trimEnd());
  }
}

/** Resident memory of the process, bytes; 0 where it cannot be known, as in a browser. */
export function processBytes(): number {
  return globalThis.Deno?.memoryUsage().rss ?? 0;
}
