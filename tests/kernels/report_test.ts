import { assertEquals } from "@std/assert";
import { regressions, type Report, reportName, reportOf, table } from "./report.ts";

const kernels = ["add", "add", "attention 1 x 64 rows"].map((name) => ({
  name,
  code: "const WIDTH = 64u; // columns",
  signature: "s",
}));
const amd = (registers: number, spilled: number, occupancy: number) => ({
  VGPRs: registers,
  "Spilled VGPRs": spilled,
  "Spilled SGPRs": 0,
  "LDS size": 512,
  "Subgroups per SIMD": occupancy,
  subgroup: 64,
});
const intel = (lanes: number, spills: number) => ({ subgroup: lanes, "Spill Count": spills });
const done = { milliseconds: 1 };

Deno.test("reportOf() keeps the worst kernel of a name, and of a kernel's programs the one that spills least", () => {
  const report = reportOf(kernels, [
    { kernel: 0, ...done, statistics: [amd(8, 0, 20)] },
    { kernel: 1, ...done, statistics: [amd(40, 3, 16)] },
    { kernel: 2, ...done, statistics: [intel(8, 0), intel(16, 0), intel(32, 9)] },
  ]);
  assertEquals(report, {
    add: { count: 2, registers: 40, spills: 3, workgroup: 512, occupancy: 16, refused: 0 },
    "attention 1 x 64 rows, head 64": { count: 1, registers: 0, spills: 0, workgroup: 0, occupancy: 16, refused: 0 },
  });
  assertEquals(reportName(kernels[2]!), "attention 1 x 64 rows, head 64");
});

Deno.test("regressions() names what became worse, and new kernels that are refused", () => {
  const good = { count: 1, registers: 8, spills: 0, workgroup: 0, occupancy: 16, refused: 0 };
  const kept: Report = { add: good, sum: good };
  assertEquals(
    regressions("tgl", kept, { add: { ...good, registers: 9 }, sum: good, cos: { ...good, spills: 5 } }),
    [],
  );
  assertEquals(
    regressions("tgl", kept, {
      add: { ...good, spills: 2, workgroup: 16 },
      sum: { ...good, occupancy: 8 },
      cos: { ...good, refused: 1, reason: "no" },
    }),
    [
      "tgl: add: spills 0 -> 2",
      "tgl: add: workgroup 0 -> 16",
      "tgl: sum: occupancy 16 -> 8",
      "tgl: cos: refused 0 -> 1 (no)",
    ],
  );
});

Deno.test("table() has a row for each kernel, a column for each compiler and the sums", () => {
  const good = { count: 2, registers: 8, spills: 1, workgroup: 64, occupancy: 16, refused: 0 };
  assertEquals(
    table({ navi21: { add: good }, dawn: { add: { ...good, spills: 0, workgroup: 0, occupancy: 0, refused: 1 } } }),
    "kernel  n  workgroup  navi21      dawn\n" +
      "add     2  64         8 / 1 / 16  1 refused\n" +
      "all     2             1 spill     0 spill, 1 refused\n",
  );
});
