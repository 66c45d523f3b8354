/** What the page tells the server. */

/** The outcome of one file of values or tests. */
export interface Row {
  readonly name: string;
  /** What was compared. */
  readonly detail: string;
  /** A sentence for each failure. */
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** The set that a golden file belongs to: its name without folder and ending. */
export function setOf(file: string): string {
  return file.split("/").at(-1)!.replace(/\.(safetensors|json)$/, "");
}
