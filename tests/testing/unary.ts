/** What every element-wise function of one tensor is tested for. */
import { assert, assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type CheckOptions, type Edges, elementwise } from "./check_op.ts";
import { randomTensor } from "./reference.ts";

/** A function of one tensor and what it must be. */
export interface UnaryCase {
  readonly op: (x: Tensor) => Tensor;
  readonly reference: (x: number) => number;
  /** Inputs are uniform in [centre - radius, centre + radius]; default: [-3, 3]. */
  readonly range?: readonly [centre: number, radius: number];
  /** The derivative, where its own derivative is checked too. */
  readonly derivative?: (x: number) => number;
  readonly edges?: Edges;
  /** Arguments and exact results, beside NaN, which must stay. */
  readonly values?: readonly (readonly [x: number, y: number])[];
  /** Arguments at which the relative error must be at most 1e-6. */
  readonly exact?: Float32Array;
}

/** Functions that jump have gradient 0 everywhere. */
export const flat: Edges = { kinks: () => 0 };

const shapes = [[], [7], [4, 8], [3, 5, 6]];

/** Registers the tests of a function. */
export function testUnary(name: string, unary: UnaryCase): void {
  const { op, reference, derivative, values = [], exact, edges = {} } = unary;
  const [centre, radius] = unary.range ?? [0, 3], options: CheckOptions = { edges };
  Deno.test(`${name}() and its gradient equal the float64 reference on every shape`, async () => {
    for (const [i, shape] of shapes.entries()) {
      await checkOp(op, [randomTensor(shape, 31 + i, radius, centre)], elementwise(reference), options);
    }
  });
  Deno.test(`${name}() of NaN is NaN, and exact at the ends of its domain`, async () => {
    for (const kind of [3, 4]) { // scalars and vectors
      const all = [...values, [NaN, NaN] as const], length = kind === 4 ? (all.length + 3) & ~3 : all.length | 1;
      const padded = Array.from({ length }, (_, i) => all[i % all.length]!);
      assertEquals(
        [...await toHost(op(tensor(padded.map(([x]) => x))))],
        padded.map(([, y]) => Math.fround(y)),
      );
    }
    const odd = new Float32Array(Uint32Array.of(0xffc00000, 0x7f800001, 0xffffffff).buffer);
    assertEquals([...await toHost(op(tensor(odd)))], [NaN, NaN, NaN]);
  });
  if (derivative) {
    Deno.test(`the second derivative of ${name}() equals the reference`, async () => {
      const first = grad((x: Tensor) => sum(op(x)));
      for (const shape of [[3, 7], [4, 4]]) {
        await checkOp(first, [randomTensor(shape, 5, radius, centre)], elementwise(derivative), options);
      }
    });
  }
  if (exact) {
    Deno.test(`${name}() is exact to a relative error of 1e-6`, async () => {
      assertRelative(exact, await toHost(op(tensor(exact))), reference, 1e-6);
    });
  }
}

/** Asserts that y is the reference at x to a relative error. */
export function assertRelative(
  x: Float32Array,
  y: ArrayLike<number>,
  reference: (x: number, index: number) => number,
  bound: number,
): void {
  x.forEach((v, i) => {
    const expected = reference(v, i);
    assert(Math.abs(y[i]! - expected) <= bound * Math.abs(expected), `at ${v}: ${y[i]}, expected ${expected}`);
  });
}

/** Numbers from `low` to `high` in equal ratios, positive and negative by turns. */
export function ratios(low: number, high: number, count = 2001): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (i % 2 ? -1 : 1) * low * (high / low) ** (i / (count - 1)));
}

/** Numbers from `low` to `high` in equal steps. */
export function steps(low: number, high: number, count = 2001): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => low + (high - low) * i / (count - 1));
}
