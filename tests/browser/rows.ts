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
