/** Helpers shared by the tests of files. */

import type { Archive } from "../../src/io/archive.ts";
import type { NamedTensor } from "../../src/io/dtype.ts";
import type { Shapes } from "./shapes.ts";

/** An F32 tensor of consecutive numbers. */
export function counting(name: string, shape: readonly number[], start = 0): NamedTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, dtype: "F32", shape, data: Float32Array.from({ length: count }, (_, at) => start + at) };
}

/** A safetensors file with any header. */
export function safetensorsBytes(header: unknown, data: Uint8Array | number = 0): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + json.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(body, 8 + json.length);
  return bytes;
}

/** An archive in memory. */
export function archiveOf(tensors: Iterable<NamedTensor>, path = "x.safetensors"): Archive {
  const byName = new Map([...tensors].map((tensor) => [tensor.name, tensor]));
  const read = (name: string) => Promise.resolve(byName.get(name)!);
  return { path, metadata: new Map(), tensors: byName, read, close: () => {} };
}

/** Tensors of given shapes, each with numbers of its own. */
export function filled(shapes: Shapes): NamedTensor[] {
  return [...shapes].map(([name, shape], at) => counting(name, shape, 1000 * at));
}
