import { assert, assertEquals } from "@std/assert";
import { lazyTensors } from "../../src/io/archive.ts";
import { planLoad } from "../../src/io/load.ts";
import { openSafetensors } from "../../src/io/safetensors.ts";
import { albefShapes, BASE, type Shapes } from "./shapes.ts";
import { withFolder } from "../testing/folders.ts";

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

function sum(shapes: Shapes, prefix: string): number {
  return [...shapes].reduce((total, [name, shape]) => total + (name.startsWith(prefix) ? count(shape) : 0), 0);
}

/** A safetensors file of these shapes in which only the first element of each tensor is written; the rest are holes. */
async function writeSparse(path: string, shapes: Shapes): Promise<void> {
  let end = 0;
  const header: Record<string, unknown> = {}, starts: number[] = [];
  for (const [name, shape] of shapes) {
    starts.push(end);
    header[name] = { dtype: "F32", shape, data_offsets: [end, end += 4 * count(shape)] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = await Deno.create(path);
  await file.write(new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer));
  await file.write(json);
  for (const [at, start] of starts.entries()) {
    await file.seek(8 + json.length + start, Deno.SeekMode.Start);
    await file.write(new Uint8Array(Float32Array.of(at + 1).buffer));
  }
  await file.truncate(8 + json.length + end);
  file.close();
}

Deno.test("the base model has the published number of parameters", () => {
  const shapes = albefShapes(BASE);
  assertEquals(sum(shapes, "visual_encoder."), 85_844_736);
  assertEquals(sum(shapes, "text_encoder."), 123_697_722);
  assertEquals(sum(shapes, "vision_proj.") + sum(shapes, "text_proj."), 393_728);
  assertEquals(sum(shapes, "itm_head.") + sum(shapes, "temp"), 1_539);
  assertEquals(sum(shapes, ""), 209_937_725);
});

Deno.test("a state of base shape with official names loads with nothing missing, one tensor at a time", async () => {
  await withFolder(async (folder) => {
    const shapes = albefShapes(BASE), path = `${folder}/base.safetensors`;
    await writeSparse(path, shapes);
    assertEquals((await Deno.stat(path)).size > 4 * 209_937_725, true);
    const archive = await openSafetensors(path);
    const { tensors, report } = await planLoad(shapes, archive);
    assertEquals(report, { loaded: [...shapes.keys()], missing: [], leftOver: [], resized: [], ignored: [] });
    assertEquals(lazyTensors(archive).length, tensors.length);
    const before = Deno.memoryUsage().rss;
    let elements = 0, memory = 0;
    for (const [at, tensor] of tensors.entries()) {
      const { data, shape } = await tensor.read();
      assertEquals(data[0], at + 1, tensor.name);
      assertEquals(data.length, count(shape));
      elements += data.length;
      memory = Math.max(memory, Deno.memoryUsage().rss - before);
    }
    archive.close();
    assertEquals(elements, 209_937_725);
    assert(memory < 600e6, `took ${memory} bytes`);
  });
});
