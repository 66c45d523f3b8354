import { assertEquals } from "@std/assert";
import { runOp } from "../testing/run_op.ts";
import type { Op } from "../../src/program/graph.ts";
import random from "../../kernels/random.wgsl" with { type: "text" };

/** Runs `philox4x32` on rows of four counter words and two key words. */
const philoxOp: Op<null> = {
  name: "philox",
  infer: ([rows]) => [{ shape: [rows!.shape[0]!, 4], dtype: "u32" }],
  lower(ctx, node): void {
    const code = random + `
@group(0) @binding(0) var<storage, read_write> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> bits: array<vec4<u32>>;
@compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let at = id.x * 6u;
  let counter = vec4<u32>(given[at], given[at + 1u], given[at + 2u], given[at + 3u]);
  bits[id.x] = philox4x32(counter, vec2<u32>(given[at + 4u], given[at + 5u]));
}`;
    ctx.dispatch({
      name: "philox",
      code,
      bindings: [ctx.inputs[0]!, ctx.outputs[0]!],
      workgroups: node.avals[0]!.shape[0]!,
    });
  },
};

Deno.test("philox4x32() gives the known answers of its authors", async () => {
  const ones = 0xffffffff;
  const data = Uint32Array.of(
    ...[0, 0, 0, 0, 0, 0],
    ...[ones, ones, ones, ones, ones, ones],
    ...[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0],
  );
  const [bits] = await runOp(philoxOp, [{ data, shape: [3, 6], dtype: "u32" }], null);
  assertEquals(
    [...bits!].map((word) => word.toString(16).padStart(8, "0")).join(" "),
    "6627e8d5 e169c58d bc57ac4c 9b00dbd8 408f276d 41c83b0e a20bc7c6 6d5451fd d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});
