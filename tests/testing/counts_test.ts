import { assertEquals } from "@std/assert";
import { addCounts, countTests, summary } from "./counts.ts";

Deno.test("countTests() reads the summary of deno test and the names of ignored tests", () => {
  assertEquals(countTests("a ... ok (1ms)\n\nok | 42 passed | 0 failed (4s)\n", true), {
    passed: 42,
    failed: 0,
    ignored: [],
  });
  const output = "a (ignored: no GPU) ... ignored (0ms)\nb ...\nlast words ... ok (2ms)\n" +
    "FAILED | 3 passed (2 steps) | 1 failed (1 step) | 1 ignored | 7 filtered out (1m2s)\n";
  assertEquals(countTests(output, false), { passed: 3, failed: 1, ignored: ["a (ignored: no GPU)"] });
});

Deno.test("countTests() counts a crash and an error outside of the tests as a failure", () => {
  assertEquals(countTests("a ... ok (1ms)\nb ... FAILED (2s)\nc ... ignored (0ms)\nd ...", false), {
    passed: 1,
    failed: 2,
    ignored: ["c"],
  });
  assertEquals(countTests("ok | 3 passed | 0 failed (1s)\n", false), { passed: 3, failed: 1, ignored: [] });
});

Deno.test("summary() has the counts alone on its last line, and the ignored tests before it", () => {
  const tests = { passed: 2, failed: 0, ignored: ["a (ignored: no GPU)"] };
  const docs = { passed: 1, failed: 1, ignored: ["b"] };
  assertEquals(summary(docs).split("\n").at(-1), "1 passed, 1 failed");
  assertEquals(summary(addCounts([tests, docs])), "2 ignored: a (ignored: no GPU); b\n3 passed, 1 failed");
  assertEquals(summary(addCounts([{ passed: 3, failed: 1, ignored: [] }])), "3 passed, 1 failed");
});
