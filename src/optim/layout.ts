/**
 * Parameters side by side in a few flat buffers, so that an optimizer step is a few dispatches.
 *
 * @module
 */
import { mapSpecs, type ParametersOf, type Spec, specEntries, type SpecTree } from "../nn/spec.ts";
import { pack, reshape, slice } from "../ops/shape.ts";
import { sizeOf, type Tensor } from "../program/graph.ts";
import { entries, type Tree } from "../program/tree.ts";

/** Where one parameter is. Element units. */
export interface Entry {
  /** Dotted name. */
  readonly name: string;
  /** Shape of the parameter. */
  readonly shape: readonly number[];
  /** Number of its flat buffer. */
  readonly buffer: number;
  /** First element in the buffer; a multiple of 64. */
  readonly offset: number;
}

/** One flat buffer of parameters that are treated alike. */
export interface Flat {
  /** Number of elements, gaps included. */
  readonly size: number;
  /** Whether weight decay acts on it. */
  readonly decay: boolean;
  /** Bounds into which the optimizer puts the values after a step. */
  readonly bounds: readonly [number, number] | undefined;
}

/** Which parameters decay and which are bounded. */
export interface LayoutOptions {
  /** Default: all but 1-D tensors and names ending in `.bias`, as in the official code (a 0-D temperature does decay there). */
  readonly decays?: (name: string, shape: readonly number[]) => boolean;
  /** Parameters that are kept in bounds. */
  readonly bounds?: Readonly<Record<string, readonly [number, number]>>;
  /** Largest buffer, bytes. @default 128 MiB, the smallest limit of WebGPU */
  readonly maxBytes?: number;
}

/** The official rule: everything decays that is not 1-D and not a bias. */
export function officialDecay(name: string, shape: readonly number[]): boolean {
  return shape.length !== 1 && !name.endsWith(".bias");
}

/** Parameters start at multiples of this many elements, so that each can be bound by itself. */
const ALIGNMENT = 64;

/** A plan of flat buffers for the parameters of a spec tree. */
export class ParameterLayout<S extends SpecTree> {
  /** The buffers. */
  readonly flats: readonly Flat[];
  /** The parameters by name. */
  readonly entries: ReadonlyMap<string, Entry>;

  /** Places the parameters in the order of the tree. */
  constructor(readonly spec: S, options: LayoutOptions = {}) {
    const { decays = officialDecay, bounds = {}, maxBytes = 2 ** 27 } = options;
    const flats: { size: number; decay: boolean; bounds: Flat["bounds"] }[] = [];
    const placed = new Map<string, Entry>();
    for (const [name, { shape }] of specEntries(spec)) {
      const decay = decays(name, shape), bound = bounds[name], size = Math.ceil(sizeOf(shape) / ALIGNMENT) * ALIGNMENT;
      let buffer = flats.findIndex((f) => f.decay === decay && f.bounds === bound && (f.size + size) * 4 <= maxBytes);
      if (buffer < 0) buffer = flats.push({ size: 0, decay, bounds: bound }) - 1;
      placed.set(name, { name, shape, buffer, offset: flats[buffer]!.size });
      flats[buffer]!.size += size;
    }
    this.flats = flats;
    this.entries = placed;
  }

  /** Names of the parameters that decay, and of those that do not. */
  decayGroups(): { decayed: string[]; notDecayed: string[] } {
    const of = (decay: boolean): string[] =>
      [...this.entries.values()].filter((e) => this.flats[e.buffer]!.decay === decay).map((e) => e.name);
    return { decayed: of(true), notDecayed: of(false) };
  }

  /** The parameter tree as views of the flat buffers. */
  unpack(flats: readonly Tensor[]): ParametersOf<S> {
    return mapSpecs(this.spec, (_: Spec, path) => {
      const { buffer, offset, shape } = this.entries.get(path)!;
      return reshape(slice(flats[buffer]!, 0, offset, offset + sizeOf(shape)), shape);
    });
  }

  /** A tree of tensors (gradients) as flat buffers; the gaps are 0. */
  pack(tree: ParametersOf<S>): Tensor[] {
    const parts = this.flats.map((): { tensors: Tensor[]; offsets: number[] } => ({ tensors: [], offsets: [] }));
    for (const [name, tensor] of entries(tree as Tree)) {
      const { buffer, offset } = this.entries.get(name)!;
      parts[buffer]!.tensors.push(tensor);
      parts[buffer]!.offsets.push(offset);
    }
    return this.flats.map(({ size }, i) => pack(parts[i]!.tensors, parts[i]!.offsets, size));
  }

  /** Host values as flat arrays. @throws {RangeError} If values have not the size of their parameter. */
  packHost(values: (name: string, shape: readonly number[]) => Float32Array): Float32Array[] {
    const out = this.flats.map((f) => new Float32Array(f.size));
    for (const { name, shape, buffer, offset } of this.entries.values()) {
      const given = values(name, shape);
      if (given.length !== sizeOf(shape)) {
        throw new RangeError(
          `Cannot use the values of "${name}": shape [${shape}] needs ${
            sizeOf(shape)
          } elements: there are ${given.length}`,
        );
      }
      out[buffer]!.set(given, offset);
    }
    return out;
  }

  /** Flat arrays as values by name. */
  unpackHost(flats: readonly Float32Array[]): Map<string, { shape: readonly number[]; data: Float32Array }> {
    return new Map(
      [...this.entries.values()].map(({ name, shape, buffer, offset }) => [
        name,
        { shape, data: flats[buffer]!.subarray(offset, offset + sizeOf(shape)) },
      ]),
    );
  }
}
