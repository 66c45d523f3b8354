/** Recurrent networks, unrolled in time. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { NotExpressible } from "../types.ts";
import { Value } from "../value.ts";

type Tensor = ops.Tensor;
type Activation = (x: Tensor) => Tensor;

/** What one direction is given; weights without the axis of directions. */
interface Cell {
  readonly hidden: number;
  readonly weight: Tensor;
  readonly recurrence: Tensor;
  /** [2 * gates * hidden]: of the inputs, then of the state. */
  readonly bias: Tensor;
  readonly peepholes: Tensor | undefined;
  readonly activations: readonly Activation[];
}

/** The states after a step. */
type Step = (cell: Cell, x: Tensor, states: readonly Tensor[], call: Call) => Tensor[];

/** The activations of gates, with the defaults of the numbers that they take. */
const ACTIVATIONS: Readonly<
  Record<string, { f: (x: Tensor, alpha: number, beta: number) => Tensor; alpha?: number; beta?: number }>
> = {
  sigmoid: { f: ops.sigmoid },
  tanh: { f: ops.tanh },
  relu: { f: ops.relu },
  softsign: { f: ops.softsign },
  softplus: { f: ops.softplus },
  affine: { f: (x, alpha, beta) => ops.add(ops.multiply(x, alpha), beta), alpha: 1, beta: 0 },
  leakyrelu: { f: (x, alpha) => ops.leakyRelu(x, alpha), alpha: 0.01 },
  thresholdedrelu: { f: (x, alpha) => ops.where(ops.greater(x, alpha), x, 0), alpha: 1 },
  scaledtanh: { f: (x, alpha, beta) => ops.multiply(ops.tanh(ops.multiply(x, beta)), alpha), alpha: 1, beta: 1 },
  hardsigmoid: { f: (x, alpha, beta) => ops.clamp(ops.add(ops.multiply(x, alpha), beta), 0, 1), alpha: 0.2, beta: 0.5 },
  elu: { f: (x, alpha) => ops.elu(x, alpha), alpha: 1 },
};

const product = (x: Tensor, weight: Tensor): Tensor => ops.matmul(x, weight, { transposeB: true });
const rows = (t: Tensor, hidden: number, gate: number, gates = 1): Tensor =>
  ops.slice(t, 0, gate * hidden, (gate + gates) * hidden);
/** The columns of a gate. */
const gateOf = (t: Tensor, hidden: number, gate: number): Tensor => ops.slice(t, 1, gate * hidden, (gate + 1) * hidden);

/** Sums before all gates: x W' + h R' + both biases. */
function sums({ weight, recurrence, bias, hidden }: Cell, x: Tensor, h: Tensor): Tensor {
  const gates = weight.shape[0]! / hidden;
  const both = ops.add(rows(bias, hidden, 0, gates), rows(bias, hidden, gates, gates));
  return ops.add(ops.add(product(x, weight), product(h, recurrence)), both);
}

function limited(call: Call, f: Activation): Activation {
  const clip = call.float("clip", 0);
  return clip ? (x) => f(ops.clamp(x, -clip, clip)) : f;
}

const rnnStep: Step = (cell, x, [h], call) => [limited(call, cell.activations[0]!)(sums(cell, x, h!))];

/** Gates in the order z, r, h (Cho et al. 2014). */
const gruStep: Step = (cell, x, [h], call) => {
  const { hidden, weight, recurrence, bias } = cell,
    [f, g] = cell.activations.map((a) => limited(call, a)) as [Activation, Activation];
  const gates = {
    ...cell,
    weight: rows(weight, hidden, 0, 2),
    recurrence: rows(recurrence, hidden, 0, 2),
    bias: ops.concat([rows(bias, hidden, 0, 2), rows(bias, hidden, 3, 2)], 0),
  };
  const zr = f(sums(gates, x, h!)), z = gateOf(zr, hidden, 0), r = gateOf(zr, hidden, 1);
  const own = ops.add(product(x, rows(weight, hidden, 2)), rows(bias, hidden, 2)),
    R = rows(recurrence, hidden, 2),
    rb = rows(bias, hidden, 5);
  const state = call.flag("linear_before_reset")
    ? ops.multiply(r, ops.add(product(h!, R), rb))
    : ops.add(product(ops.multiply(r, h!), R), rb);
  const candidate = g(ops.add(own, state));
  return [ops.add(ops.multiply(ops.subtract(1, z), candidate), ops.multiply(z, h!))];
};

/** Gates in the order i, o, f, c (Hochreiter and Schmidhuber 1997), with peepholes i, o, f (Gers et al. 2002). */
const lstmStep: Step = (cell, x, [h, c], call) => {
  const { hidden, peepholes } = cell,
    [f, g, last] = cell.activations.map((a) => limited(call, a)) as [Activation, Activation, Activation];
  const all = sums(cell, x, h!),
    gate = (i: number, seen?: Tensor, peephole = i): Tensor => {
      const own = gateOf(all, hidden, i);
      return peepholes && seen ? ops.add(own, ops.multiply(rows(peepholes, hidden, peephole), seen)) : own;
    };
  const i = f(gate(0, c)), forget = call.flag("input_forget") ? ops.subtract(1, i) : f(gate(2, c));
  const next = ops.add(ops.multiply(forget, c!), ops.multiply(i, g(gate(3))));
  return [ops.multiply(f(gate(1, next)), last(next)), next];
};

/** The network of one kind of cell over [time, batch, inputs], in one direction or both. */
function network(gates: number, defaults: readonly string[], states: number, step: Step): Operator {
  return async (call) => {
    const batchFirst = call.flag("layout"), given = call.x(0), x = batchFirst ? ops.swapAxes(given, 0, 1) : given;
    const [time, batch] = x.shape as [number, number], hidden = call.int("hidden_size", call.x(2).shape[2]!);
    const direction = call.string("direction", "forward"), ways = direction === "bidirectional" ? 2 : 1;
    const lengths = await call.numbers(4), all: Tensor[][] = [], finals: Tensor[][] = [];
    for (let way = 0; way < ways; way++) {
      const part = (i: number): Tensor | undefined =>
        call.inputs[i] && ops.squeeze(ops.slice(call.x(i), 0, way, way + 1), 0);
      const start = (i: number): Tensor => {
        if (!call.inputs[i]) return ops.zeros([batch, hidden]);
        const axis = batchFirst ? 1 : 0;
        return ops.squeeze(ops.slice(call.x(i), axis, way, way + 1), axis);
      };
      const cell: Cell = {
        hidden,
        weight: part(1)!,
        recurrence: part(2)!,
        bias: part(3) ?? ops.zeros([2 * gates * hidden]),
        peepholes: part(7),
        activations: activationsOf(call, defaults, way),
      };
      const backwards = direction === "reverse" || way === 1;
      const { outputs, last } = unrolled(
        x,
        [5, 6].slice(0, states).map(start),
        lengths,
        backwards,
        (x, s) => step(cell, x, s, call),
      );
      all.push(outputs);
      finals.push(last);
    }
    const y = ops.stack(Array.from({ length: time }, (_, t) => ops.stack(all.map((a) => a[t]!)))); // [time, ways, batch, hidden]
    const results = [batchFirst ? ops.transpose(y, [2, 0, 1, 3]) : y];
    for (let i = 0; i < states; i++) results.push(ops.stack(finals.map((f) => f[i]!), batchFirst ? 1 : 0));
    return results.map((t) => Value.from(call.type, t));
  };
}

/** Activations of one direction. Numbers are given in order to those that take some. */
function activationsOf(call: Call, defaults: readonly string[], way: number): Activation[] {
  const names = call.strings("activations") ?? [...defaults, ...defaults], n = defaults.length;
  const alphas = [...call.floats("activation_alpha") ?? []], betas = [...call.floats("activation_beta") ?? []];
  const all = names.map((name): Activation => {
    const known = ACTIVATIONS[name.toLowerCase()];
    if (!known) throw new NotExpressible(`the activation ${name}`);
    const alpha = known.alpha === undefined ? 0 : alphas.shift() ?? known.alpha;
    const beta = known.beta === undefined ? 0 : betas.shift() ?? known.beta;
    return (x) => known.f(x, alpha, beta);
  });
  return all.slice(way * n, (way + 1) * n);
}

/** All steps; a sequence that has ended keeps its state, and its outputs are 0. */
function unrolled(
  x: Tensor,
  start: readonly Tensor[],
  lengths: readonly number[] | undefined,
  backwards: boolean,
  step: (x: Tensor, states: readonly Tensor[]) => Tensor[],
): { outputs: Tensor[]; last: Tensor[] } {
  const time = x.shape[0]!, outputs: Tensor[] = [];
  let states = [...start];
  for (let i = 0; i < time; i++) {
    const t = backwards ? time - 1 - i : i, next = step(ops.squeeze(ops.slice(x, 0, t, t + 1), 0), states);
    const running = lengths?.some((n) => n < time) &&
      ops.tensor(Float32Array.from(lengths, (n) => Number(t < n)), [lengths.length, 1]);
    states = running ? next.map((s, k) => ops.where(running, s, states[k]!)) : next;
    outputs[t] = running ? ops.where(running, states[0]!, 0) : states[0]!;
  }
  return { outputs, last: states };
}

/** The table. */
export const recurrent: Operators = {
  RNN: network(1, ["Tanh"], 1, rnnStep),
  GRU: network(3, ["Sigmoid", "Tanh"], 1, gruStep),
  LSTM: network(4, ["Sigmoid", "Tanh", "Tanh"], 2, lstmStep),
};
