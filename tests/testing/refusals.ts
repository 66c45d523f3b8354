/** Calls that must be refused, as a table. */
import { assertRejects } from "@std/assert";

// deno-lint-ignore no-explicit-any
type ErrorClass = new (...args: any[]) => Error;

/** What is called, a part of the sentence that refuses it, and the kind of the error, RangeError if not given. */
export type Refusal = readonly [call: () => unknown, sentence: string, kind?: ErrorClass];

/** Asserts that each call throws, or returns a promise that is rejected, with its sentence. */
export async function assertRefused(...table: readonly Refusal[]): Promise<void> {
  for (const [call, sentence, kind = RangeError] of table) {
    await assertRejects(async () => await call(), kind, sentence, `${call} must be refused`);
  }
}
