/** Parameters by name: on the host, in files, and back in a model's tree. */
import {
  initialize,
  mapSpecs,
  openCheckpoint,
  type ParametersOf,
  specEntries,
  type SpecTree,
  type Tensor,
  tensor,
  toHost,
  writeSafetensors,
} from "../../mod.ts";

/** Parameters by name. */
export type Values = ReadonlyMap<string, Float32Array<ArrayBuffer>>;

/** The values of a model's parameters. */
export async function valuesOf<S extends SpecTree>(spec: S, params: ParametersOf<S>): Promise<Values> {
  const names: string[] = [], tensors: Tensor[] = [];
  mapSpecs(spec, (_, path) => {
    names.push(path);
    tensors.push(
      path.split(".").reduce((tree, part) => (tree as Record<string, unknown>)[part], params as unknown) as Tensor,
    );
    return tensors.at(-1)!;
  });
  const hosts = await toHost(tensors) as Float32Array<ArrayBuffer>[];
  return new Map(names.map((name, i) => [name, hosts[i]!]));
}

/** A model's parameters of these values, all of which must be there. */
export function parametersOf<S extends SpecTree>(spec: S, values: Values): ParametersOf<S> {
  return mapSpecs(spec, ({ shape }, name) => {
    const own = values.get(name);
    if (own) return tensor(own, shape);
    throw new RangeError(`Cannot make a model: each parameter must have a value: "${name}" has none`);
  });
}

/** Those of the values that a model has. */
export function only(spec: SpecTree, values: Values): Values {
  const names = new Set(specEntries(spec).map(([name]) => name));
  return new Map([...values].filter(([name]) => names.has(name)));
}

/** All values of a model: those given, the others as they start. */
export async function completed<S extends SpecTree>(spec: S, seed: number, given: Values): Promise<Values> {
  return new Map([...await valuesOf(spec, initialize(spec, seed)), ...only(spec, given)]);
}

/** Writes values into a file, atomically. */
export async function writeValues(path: string, spec: SpecTree, values: Values): Promise<void> {
  const entries = specEntries(spec).map(([name, { shape }]) => ({
    name,
    dtype: "F32" as const,
    shape,
    data: values.get(name)!,
  }));
  await writeSafetensors(path, entries, { format: "pt" });
}

/** The values in a file: all of them, or those of a model. */
export async function readValues(path: string, spec?: SpecTree): Promise<Values> {
  const archive = await openCheckpoint(path), values = new Map<string, Float32Array<ArrayBuffer>>();
  const names = spec ? specEntries(spec).map(([name]) => name) : [...archive.tensors.keys()];
  for (const name of names) values.set(name, (await archive.read(name)).data as Float32Array<ArrayBuffer>);
  archive.close();
  return values;
}
