import { assertEquals } from "@std/assert";
import { countTests, endedAfterTests, summary } from "./counts.ts";

Deno.test("countTests() reads the summary of deno test", () => {
  assertEquals(countTests("a ... ok (1ms)\n\nok | 42 passed | 0 failed (4s)\n", true), {
    passed: 42,
    failed: 0,
    skipped: 0,
  });
  assertEquals(
    countTests("FAILED | 3 passed (2 steps) | 1 failed (1 step) | 5 ignored | 7 filtered out (1m2s)\n", false),
    {
      passed: 3,
      failed: 1,
      skipped: 5,
    },
  );
});

Deno.test("countTests() counts a crash and an error outside of the tests as a failure", () => {
  assertEquals(countTests("a ... ok (1ms)\nb ... FAILED (2s)\nc ... ignored (0ms)\nd ...", false), {
    passed: 1,
    failed: 2,
    skipped: 1,
  });
  assertEquals(countTests("ok | 3 passed | 0 failed (1s)\n", false), { passed: 3, failed: 1, skipped: 0 });
});

Deno.test("endedAfterTests() tells a crash at the end of the process from one in a test", () => {
  assertEquals(endedAfterTests("a ... ok (1ms)\n\nok | 42 passed | 0 failed (4s)\n\n"), true);
  assertEquals(endedAfterTests("a ... ok (1ms)\nb ..."), false);
  assertEquals(endedAfterTests("FAILED | 42 passed | 1 failed (4s)\n"), false);
});

Deno.test("summary() names skipped tests only where there are some", () => {
  assertEquals(summary({ passed: 3, failed: 1, skipped: 0 }), "3 passed, 1 failed");
  assertEquals(summary({ passed: 3, failed: 0, skipped: 2 }), "3 passed, 0 failed, 2 skipped");
});
