/**
 * The state that a run starts with: a checkpoint's, or starting values.
 *
 * @module
 */
import { initialValues, mapSpecs, type ParametersOf, specEntries, type SpecTree } from "../nn/spec.ts";
import type { ParameterLayout } from "../optim/layout.ts";
import { tensor, toDevice } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { mapTree, type Tree } from "../program/tree.ts";
import type { LoadedCheckpoint } from "./checkpoint.ts";
import type { TrainState } from "./step.ts";
import type { Objective } from "./task.ts";

/** Starting values of all parameters by name: those given, the others as their specs say. */
export function startingValues(
  spec: SpecTree,
  seed: number,
  given: ReadonlyMap<string, Float32Array> = new Map(),
): Map<string, Float32Array> {
  return new Map(
    specEntries(spec).map(([name, own], stream) => [name, given.get(name) ?? initialValues(own, seed, stream)]),
  );
}

/** The state beside the parameters at the start, on the host. */
export function startingExtra<S extends SpecTree, X extends Tree, B extends Tree>(
  objective: Objective<S, X, B>,
  values: ReadonlyMap<string, Float32Array>,
): X {
  const params: ParametersOf<S> = mapSpecs(
    objective.spec,
    ({ shape }, name) => tensor(values.get(name)!, shape, "f32", { copy: false }),
  );
  return objective.extra?.(params) ?? {} as X;
}

/** Rows of metrics and of norms that a state holds, and columns of the metrics. */
export interface RingSizes {
  readonly rows: number;
  readonly columns: number;
  readonly steps: number;
}

/** The first state of a run on the GPU. Memory of its own, so that steps may take it over. */
export async function startingState<S extends SpecTree, X extends Tree>(
  layout: ParameterLayout<S>,
  values: ReadonlyMap<string, Float32Array>,
  extra: X,
  { rows, columns, steps }: RingSizes,
  saved: LoadedCheckpoint<X> | undefined,
): Promise<TrainState<X>> {
  const zeros = (): Float32Array[] => layout.buffers.map((f) => new Float32Array(f.size));
  const device = (arrays: readonly Float32Array[]): Tensor[] =>
    arrays.map((a) => tensor(a, undefined, "f32", { copy: false }));
  const packed = (kind: "trained" | "frozen"): Float32Array[] => layout.packHost((name) => values.get(name)!, kind);
  return await toDevice({
    optimizer: {
      values: device(saved?.values ?? packed("trained")),
      mu: device(saved?.mu ?? zeros()),
      nu: device(saved?.nu ?? zeros()),
    },
    frozen: device(saved?.frozen ?? packed("frozen")),
    gradients: device(zeros()),
    extra: mapTree(saved?.extra ?? extra, ownCopy),
    healthy: tensor(1),
    metrics: tensor(new Float32Array(rows * columns), [rows, columns]),
    norms: tensor(new Float32Array(steps), [steps, 1]),
  });
}

/** A host tensor that nobody else refers to, so that its memory can be donated. */
function ownCopy(t: Tensor): Tensor {
  return t.node.host ? tensor(t.node.host, t.shape, t.dtype, { copy: false }) : t;
}
