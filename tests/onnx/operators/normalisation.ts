/** Normalisation. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { NotExpressible, sizeOf } from "../types.ts";
import { Value } from "../value.ts";

type Tensor = ops.Tensor;

/** x with the axes from `axis` on as one, and the other way. */
function rowsFrom(x: Tensor, axis: number): { rows: Tensor; restore: (t: Tensor) => Tensor; outer: readonly number[] } {
  const outer = x.shape.slice(0, axis), count = sizeOf(outer);
  return { rows: ops.reshape(x, [count, x.size / count]), restore: (t) => ops.reshape(t, x.shape), outer };
}

/** A weight broadcast to the normalised axes, as a row. */
function row(weight: Tensor, shape: readonly number[]): Tensor {
  return ops.reshape(ops.broadcastTo(weight, shape), [sizeOf(shape)]);
}

/** With weights that do not differ between rows by our kernel. Mean and 1 / deviation are results of their own. */
const layerNorm: Operator = (call) => {
  const x = call.x(0),
    rank = x.shape.length,
    axis = axisOf(call.int("axis", -1), rank),
    eps = call.float("epsilon", 1e-5);
  const { rows, restore, outer } = rowsFrom(x, axis), shape = x.shape.slice(axis);
  const [weight, bias] = [call.maybe(1) ?? ops.ones(shape), call.maybe(2) ?? ops.zeros(shape)];
  const y = restore(ops.layerNorm(rows, row(weight, shape), row(bias, shape), eps));
  if (!call.asked[1] && !call.asked[2]) return Value.from(call.type, y);
  const statistic = (t: Tensor): Value => Value.from("float", ops.reshape(t, [...outer, ...shape.map(() => 1)]));
  const deviation = ops.variance(rows, { axes: [1] });
  return [
    Value.from(call.type, y),
    statistic(ops.mean(rows, { axes: [1] })),
    statistic(ops.rsqrt(ops.add(deviation, eps))),
  ];
};

const rmsNorm: Operator = (call) => {
  const x = call.x(0), axis = axisOf(call.int("axis", -1), x.shape.length), shape = x.shape.slice(axis);
  const { rows, restore } = rowsFrom(x, axis), eps = call.float("epsilon", 1e-5);
  return Value.from(call.type, restore(ops.rmsNorm(rows, row(call.x(1), shape), eps)));
};

/** Before version 21 there is a weight for each group, then for each channel. */
const groupNorm: Operator = (call) => {
  const x = call.x(0), groups = call.int("num_groups", 1), channels = x.shape[1]!;
  const own = (t: Tensor): Tensor => t.size === channels ? t : ops.repeat(t, channels / t.size, 0);
  return Value.from(call.type, ops.groupNorm(x, groups, own(call.x(1)), own(call.x(2)), call.float("epsilon", 1e-5)));
};

const instanceNorm: Operator = (call) =>
  Value.from(call.type, ops.instanceNorm(call.x(0), call.x(1), call.x(2), call.float("epsilon", 1e-5)));

/** In training ONNX lets the biased variance follow, and `momentum` is the share of what was before. */
const batchNorm: Operator = (call) => {
  if (call.opset < 9 && !call.flag("spatial", true)) throw new NotExpressible("batch normalisation of each position");
  const x = call.x(0),
    [weight, bias, mean, variance] = [1, 2, 3, 4].map((i) => call.x(i)) as [Tensor, Tensor, Tensor, Tensor];
  const eps = call.float("epsilon", 1e-5), momentum = call.float("momentum", 0.9);
  const training = call.flag("training_mode") || (call.opset < 7 && !call.flag("is_test"));
  const flat = x.shape.length === 1 ? ops.reshape(x, [x.size, 1]) : x,
    state = { running_mean: mean, running_var: variance };
  const [y] = ops.batchNorm(flat, weight, bias, state, { training, eps });
  const result = Value.from(call.type, ops.reshape(y, x.shape));
  if (!training) return result;
  const axes = { axes: flat.shape.flatMap((_, i) => i === 1 ? [] : [i]) };
  const follow = (old: Tensor, now: Tensor): Tensor =>
    ops.add(ops.multiply(old, momentum), ops.multiply(now, 1 - momentum));
  const next = [follow(mean, ops.mean(flat, axes)), follow(variance, ops.variance(flat, axes))];
  return [result, ...next.map((t, i) => Value.from(call.value(3 + i).type, t))];
};

/** x over (bias + alpha / size * the sum of squares of the neighbouring channels)^beta. */
const localResponse: Operator = (call) => {
  const x = call.x(0), size = call.int("size", 1), channels = x.shape[1]!, before = Math.floor((size - 1) / 2);
  const around = ops.pad(ops.square(x), x.shape.map((_, i) => i === 1 ? [before, size - 1 - before] as const : 0));
  const sums = Array.from({ length: size }, (_, i) => ops.slice(around, 1, i, i + channels)).reduce(ops.add);
  const power = ops.add(ops.multiply(sums, call.float("alpha", 1e-4) / size), call.float("bias", 1));
  return Value.from(call.type, ops.divide(x, ops.pow(power, call.float("beta", 0.75))));
};

/** Without training, or with nothing to drop, all stay. */
const dropout: Operator = async (call: Call) => {
  const x = call.value(0), [ratio = call.float("ratio", 0.5)] = await call.numbers(1) ?? [];
  const training = call.opset >= 12
    ? (await call.numbers(2))?.[0] ?? 0
    : call.opset < 7
    ? Number(!call.flag("is_test"))
    : 0;
  if (training && ratio) throw new NotExpressible("random numbers: the expected ones are those of another generator");
  return [x, Value.from(call.opset >= 10 ? "bool" : x.type, ops.ones(x.shape))];
};

/** The table. */
export const normalisation: Operators = {
  LayerNormalization: layerNorm,
  RMSNormalization: rmsNorm,
  GroupNormalization: groupNorm,
  InstanceNormalization: instanceNorm,
  BatchNormalization: batchNorm,
  LRN: localResponse,
  Dropout: dropout,
};
