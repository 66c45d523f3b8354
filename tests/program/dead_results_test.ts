import { assert } from "@std/assert";
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { compile, evaluate, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

const MIB = 2 ** 20;

/** The most bytes that `turn` adds to the device's memory in `turns` turns. */
async function growth(device: Device, turns: number, turn: (i: number) => Promise<unknown>): Promise<number> {
  const before = device.memory.bytes;
  let most = 0;
  for (let i = 0; i < turns; i++) {
    await turn(i);
    most = Math.max(most, device.memory.bytes - before);
  }
  return most;
}

Deno.test("memory of results that nobody refers to comes back, of one size and of many", async () => {
  const device = await defaultDevice(), x = tensor(new Float32Array(MIB)), f = compile((x: Tensor) => add(x, 1));
  const equal = await growth(device, 240, () => f(x)); // 960 MiB in all
  f.destroy();
  assert(equal < 700 * MIB, `results of one size took ${equal / MIB} MiB`);
  const changing = await growth(device, 300, (i) => evaluate(multiply(full([MIB + 4096 * i], 1), 2))); // 1,875 MiB in all
  assert(changing < 1000 * MIB, `results of 300 sizes took ${changing / MIB} MiB`);
});
