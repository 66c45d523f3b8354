import { assertEquals, assertThrows } from "@std/assert";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { crossEntropy, crossEntropyOps } from "../../src/ops/cross_entropy.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { checkSecondDerivatives } from "../testing/second_derivative.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import * as reference from "../testing/reference.ts";
import { assertClose, assertGradient, eachRow, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";

const shapes = [[1, 1], [5, 7], [33, 64], [3, 1033], [2, 4100], [2, 30_521]] as const;

/** Labels of which every third is ignored. */
function someLabels(rows: number, classes: number): HostTensor {
  const labels = randomIds([rows], 9, 0, classes, "i32");
  for (let i = 1; i < rows; i += 3) labels.data[i] = -100;
  return labels;
}

/** Columns [from, to) of x [rows, columns]. */
function columns({ data, shape }: HostTensor, from: number, to: number): HostTensor {
  const [rows, length] = shape as [number, number];
  const values = eachRow(data, length, (row) => row.slice(from, to));
  return { data: Float32Array.from(values), shape: [rows, to - from] };
}

testOnEachKind("crossEntropy equals the float64 reference, ignored rows are 0", async (device) => {
  for (const [rows, classes] of shapes) {
    for (const scale of [1, 1e4]) {
      const logits = randomTensor([rows, classes], classes, scale), labels = someLabels(rows, classes);
      const [loss, lse] = await runOp(crossEntropyOps.crossEntropy, [logits, labels], { ignoreIndex: -100 }, device);
      assertClose(loss!, reference.crossEntropy(logits.data, labels.data, classes), 1e-6, 2e-6);
      assertClose(lse!, eachRow(logits.data, classes, (row) => [reference.logSumExp(row)]), 1e-6, 2e-6);
    }
  }
});

testOnEachKind("crossEntropy ignores the label it is told to", async (device) => {
  const logits = randomTensor([3, 4], 1), labels = { data: Int32Array.of(0, 3, 0), shape: [3], dtype: "i32" } as const;
  const [loss] = await runOp(crossEntropyOps.crossEntropy, [logits, labels], { ignoreIndex: 0 }, device);
  assertClose(loss!, reference.crossEntropy(logits.data, labels.data, 4, 0));
});

testOnEachKind("softmaxTileGrad is the gradient of crossEntropy", async (device) => {
  for (const [rows, classes] of shapes) {
    const logits = randomTensor([rows, classes], 3, 2), labels = someLabels(rows, classes);
    const scale = randomTensor([rows], 4);
    const lse = Float32Array.from(eachRow(logits.data, classes, (row) => [reference.logSumExp(row)]));
    const inputs = [logits, { data: lse, shape: [rows] }, labels, scale];
    const [d] = await runOp(crossEntropyOps.softmaxTileGrad, inputs, { offset: 0, ignoreIndex: -100 }, device);
    assertGradient((x) => reference.crossEntropy(x, labels.data, classes), logits.data, scale.data, d!);
  }
});

testOnEachKind("a loss in tiles of columns equals the loss of whole rows", async (device) => {
  const [rows, classes] = [37, 150];
  const logits = randomTensor([rows, classes], 5, 30),
    labels = someLabels(rows, classes),
    scale = randomTensor([rows], 6);
  const whole = await runOp(crossEntropyOps.crossEntropy, [logits, labels], { ignoreIndex: -100 }, device);
  const tiles = [[0, 64], [64, 127], [127, 150]] as const;
  let state: HostTensor = {
    data: Float32Array.from({ length: 2 * rows }, (_, i) => i % 2 ? 0 : -1e30),
    shape: [rows, 2],
  };
  const picked = new Float64Array(rows);
  for (const [from, to] of tiles) {
    const tile = columns(logits, from, to);
    const [next] = await runOp(crossEntropyOps.lseUpdate, [state, tile], undefined, device);
    const [label] = await runOp(crossEntropyOps.pickLabels, [tile, labels], { offset: from }, device);
    state = { ...state, data: next! };
    label!.forEach((v, i) => picked[i]! += v);
  }
  const lse = Float32Array.from({ length: rows }, (_, i) => state.data[2 * i]! + Math.log(state.data[2 * i + 1]!));
  assertClose(lse, whole[1]!, 1e-6);
  assertClose(picked.map((v, i) => labels.data[i] === -100 ? 0 : lse[i]! - v), whole[0]!, 1e-6, 1e-5);
  const rest = [{ data: lse, shape: [rows] }, labels, scale];
  const attrs = { offset: 0, ignoreIndex: -100 };
  const [all] = await runOp(crossEntropyOps.softmaxTileGrad, [logits, ...rest], attrs, device);
  for (const [from, to] of tiles) {
    const tile = columns(logits, from, to);
    const [d] = await runOp(crossEntropyOps.softmaxTileGrad, [tile, ...rest], { ...attrs, offset: from }, device);
    assertEquals(d, columns({ data: all!, shape: [rows, classes] }, from, to).data);
  }
});

Deno.test("crossEntropy() has the right gradient through loss and log-sum-exp", async () => {
  for (const classes of [5, 8]) {
    const inputs = [randomTensor([7, classes], 1, 2), someLabels(7, classes)];
    await checkOp((x, labels) => crossEntropy(x, labels)[0], inputs, (x, labels) => {
      return reference.crossEntropy(x!.data, labels!.data, classes);
    });
    const penalised = (x: Tensor, labels: Tensor) => {
      const [loss, lse] = crossEntropy(x, labels);
      return add(loss, multiply(lse, 0.5));
    };
    await checkOp(penalised, inputs, (x, labels) => {
      const loss = reference.crossEntropy(x!.data, labels!.data, classes);
      return eachRow(x!.data, classes, (row, r) => [loss[r]! + 0.5 * reference.logSumExp(row)]);
    });
  }
});

Deno.test("crossEntropy() names what does not fit", () => {
  const labels = placeholder([4], "i32");
  assertThrows(
    () => crossEntropy(placeholder([4]), labels),
    RangeError,
    "logits must be f32[rows,columns]: it is f32[4]",
  );
  assertThrows(
    () => crossEntropy(placeholder([5, 3]), labels),
    RangeError,
    "labels must be (i32 or u32)[5]: it is i32[4]",
  );
  assertThrows(
    () => crossEntropy(placeholder([4, 3]), placeholder([4])),
    TypeError,
    "labels must be (i32 or u32)[4]: it is f32[4]",
  );
});

Deno.test("crossEntropy() has the right second derivatives, of the loss and the log-sum-exp", async () => {
  for (const dtype of ["i32", "u32"] as const) {
    const logits = randomTensor([4, 5], 1, 2),
      labels = dtype === "i32" ? someLabels(4, 5) : randomIds([4], 3, 0, 5, dtype);
    await checkSecondDerivatives(
      (x) => {
        const [loss, lse] = crossEntropy(x!, tensor(labels.data, [4], dtype));
        return add(loss, multiply(lse, 0.5));
      },
      [logits],
      (x) => {
        const loss = reference.crossEntropy(x!.data, labels.data, 5);
        return eachRow(x!.data, 5, (row, i) => [loss[i]! + 0.5 * reference.logSumExp(row)]);
      },
    );
  }
});
