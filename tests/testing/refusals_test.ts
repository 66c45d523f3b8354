import { assertRejects } from "@std/assert";
import { assertRefused, type Refusal } from "./refusals.ts";

const refuse = (error: Error) => (): never => {
  throw error;
};

Deno.test("assertRefused() passes where every call throws or rejects with its sentence and kind", async () => {
  await assertRefused(
    [refuse(new RangeError("Cannot add: it is 5")), "it is 5"],
    [refuse(new TypeError("Cannot add: it is text")), "it is text", TypeError],
    [() => Promise.reject(new RangeError("Cannot read: it is closed")), "it is closed"],
  );
});

const wrong: [what: string, refusal: Refusal][] = [
  ["a call that returns", [() => 5, "it is 5"]],
  ["a promise that is kept", [() => Promise.resolve(5), "it is 5"]],
  ["another sentence", [refuse(new RangeError("Cannot add: it is 6")), "it is 5"]],
  ["another kind", [refuse(new TypeError("Cannot add: it is 5")), "it is 5"]],
];

for (const [what, refusal] of wrong) {
  Deno.test(`assertRefused() fails on ${what}`, async () => {
    await assertRejects(
      () => assertRefused([refuse(new RangeError("fine")), "fine"], refusal),
      Error,
      "must be refused",
    );
  });
}
