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
export interface ParameterPlace {
  /** Dotted name. */
  readonly name: string;
  /** Shape of the parameter. */
  readonly shape: readonly number[];
  /** Number of its buffer, among the trained or among the frozen ones. */
  readonly buffer: number;
  /** First element in the buffer; a multiple of 64. */
  readonly offset: number;
  /** Whether it is in one of the frozen buffers. */
  readonly frozen: boolean;
}

/** One flat buffer of parameters that are treated alike. */
export interface ParameterBuffer {
  /** Number of elements, gaps included. */
  readonly size: number;
  /** Whether weight decay acts on it. */
  readonly decay: boolean;
  /** Bounds into which the optimizer puts the values after a step. */
  readonly bounds: readonly [number, number] | undefined;
}

/** How the optimizer treats single parameters. */
export interface ParameterRules {
  /** Default: all but 1-D tensors and names ending in `.bias`, as in the official code (a 0-D temperature does decay there). */
  readonly decays?: (name: string, shape: readonly number[]) => boolean;
  /** Parameters that are kept in bounds. */
  readonly bounds?: Readonly<Record<string, readonly [number, number]>>;
  /** Whether a parameter is trained; the others stay as they are and have no gradients and no moments. Default: all are. */
  readonly trainable?: (name: string) => boolean;
}

/** The official rule: everything decays that is not 1-D and not a bias. */
export function officialDecay(name: string, shape: readonly number[]): boolean {
  return shape.length !== 1 && !name.endsWith(".bias");
}

/** Parameters start at multiples of this many elements, so that each can be bound by itself. */
const ALIGNMENT = 64;

/** The largest buffer in bytes: the smallest limit of WebGPU for one binding. */
const MAX_BYTES = 2 ** 27;

/** A plan of flat buffers for the parameters of a spec tree. */
export class ParameterLayout<S extends SpecTree> {
  /** The buffers of trained parameters; gradients and moments have the same. */
  readonly buffers: readonly ParameterBuffer[];
  /** Those of the others. */
  readonly frozen: readonly ParameterBuffer[];
  /** The parameters by name. */
  readonly places: ReadonlyMap<string, ParameterPlace>;

  /** Places the parameters in the order of the tree. @throws {RangeError} If a rule names no parameter, or none is trained. */
  constructor(readonly spec: S, rules: ParameterRules = {}, maxBytes: number = MAX_BYTES) {
    const { decays = officialDecay, bounds = {}, trainable = () => true } = rules;
    const lists: Record<"trained" | "frozen", { size: number; decay: boolean; bounds: ParameterBuffer["bounds"] }[]> = {
      trained: [],
      frozen: [],
    };
    const places = new Map<string, ParameterPlace>();
    for (const [name, { shape }] of specEntries(spec)) {
      const frozen = !trainable(name), list = lists[frozen ? "frozen" : "trained"];
      const decay = !frozen && decays(name, shape), bound = frozen ? undefined : bounds[name];
      const size = Math.ceil(sizeOf(shape) / ALIGNMENT) * ALIGNMENT;
      let buffer = list.findIndex((f) => f.decay === decay && f.bounds === bound && (f.size + size) * 4 <= maxBytes);
      if (buffer < 0) buffer = list.push({ size: 0, decay, bounds: bound }) - 1;
      places.set(name, { name, shape, buffer, offset: list[buffer]!.size, frozen });
      list[buffer]!.size += size;
    }
    const unknown = Object.keys(bounds).find((name) => !places.has(name));
    if (unknown !== undefined) {
      throw new RangeError(`Cannot bound the parameter "${unknown}": the model has none of that name`);
    }
    if (!lists.trained.length) throw new RangeError("Cannot train: at least one parameter must be trainable: none is");
    this.buffers = lists.trained;
    this.frozen = lists.frozen;
    this.places = places;
  }

  /** Names of the parameters that decay, of those that are trained without, and of those that are not trained. */
  decayGroups(): { decayed: string[]; notDecayed: string[]; frozen: string[] } {
    const of = (is: (place: ParameterPlace) => boolean): string[] =>
      [...this.places.values()].filter(is).map((p) => p.name);
    const decays = (p: ParameterPlace): boolean => this.buffers[p.buffer]!.decay;
    return {
      decayed: of((p) => !p.frozen && decays(p)),
      notDecayed: of((p) => !p.frozen && !decays(p)),
      frozen: of((p) => p.frozen),
    };
  }

  /** The parameter tree as views of the flat buffers, trained and frozen. */
  unpack(trained: readonly Tensor[], frozen: readonly Tensor[] = []): ParametersOf<S> {
    return mapSpecs(this.spec, (_: Spec, path) => {
      const { buffer, offset, shape, frozen: isFrozen } = this.places.get(path)!;
      return reshape(slice((isFrozen ? frozen : trained)[buffer]!, 0, offset, offset + sizeOf(shape)), shape);
    });
  }

  /** A tree of tensors (gradients) as the flat buffers of what is trained; the gaps are 0. */
  pack(tree: ParametersOf<S>): Tensor[] {
    const parts = this.buffers.map((): { tensors: Tensor[]; offsets: number[] } => ({ tensors: [], offsets: [] }));
    for (const [name, tensor] of entries(tree as Tree)) {
      const { buffer, offset, frozen } = this.places.get(name)!;
      if (frozen) continue;
      parts[buffer]!.tensors.push(tensor);
      parts[buffer]!.offsets.push(offset);
    }
    return this.buffers.map(({ size }, i) => pack(parts[i]!.tensors, parts[i]!.offsets, size));
  }

  /** Host values as flat arrays. @throws {RangeError} If values have not the size of their parameter. */
  packHost(
    values: (name: string, shape: readonly number[]) => Float32Array,
    kind: "trained" | "frozen" = "trained",
  ): Float32Array[] {
    const frozen = kind === "frozen";
    const out = (frozen ? this.frozen : this.buffers).map((f) => new Float32Array(f.size));
    for (const place of this.places.values()) {
      if (place.frozen !== frozen) continue;
      const { name, shape, buffer, offset } = place, given = values(name, shape);
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

  /** Flat arrays of trained parameters as values by name. */
  unpackHost(flats: readonly Float32Array[]): Map<string, { shape: readonly number[]; data: Float32Array }> {
    return new Map(
      [...this.places.values()].filter((p) => !p.frozen).map(({ name, shape, buffer, offset }) => [
        name,
        { shape, data: flats[buffer]!.subarray(offset, offset + sizeOf(shape)) },
      ]),
    );
  }
}
