/** Losses, and steps of optimizers. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { Value } from "../value.ts";

type Tensor = ops.Tensor;

/** -log p of the class of each position, weighted: p [batch, classes, ...], labels [batch, ...]. */
function negativeLogLikelihood(call: Call, logs: Tensor): Tensor {
  const labels = ops.cast(call.x(1), "i32"), weights = call.maybe(2), reduction = call.string("reduction", "mean");
  const ignored = call.has("ignore_index")
    ? ops.equal(labels, ops.full([], call.int("ignore_index", 0), "i32"))
    : undefined;
  const classes = ignored ? ops.where(ignored, 0, labels) : labels;
  const picked = ops.squeeze(ops.takeAlongAxis(logs, ops.expandDims(classes, 1), 1), 1);
  const own = weights ? ops.take(weights, classes, 0) : ops.onesLike(picked),
    weight = ignored ? ops.where(ignored, 0, own) : own;
  const losses = ops.where(weight, ops.multiply(ops.negate(picked), weight), 0);
  if (reduction === "none") return losses;
  return reduction === "sum" ? ops.sum(losses) : ops.divide(ops.sum(losses), ops.sum(weight));
}

const nllLoss: Operator = (call) => Value.from(call.type, negativeLogLikelihood(call, call.x(0)));

const crossEntropy: Operator = (call) => {
  const logs = ops.logSoftmax(call.x(0), { axis: 1 });
  return [Value.from(call.type, negativeLogLikelihood(call, logs)), Value.from(call.type, logs)];
};

/** Inputs: rate, count of updates, then all parameters, all gradients, and `states` kinds of states. */
function optimizer(
  states: number,
  update: (call: Call, rate: Tensor, count: number, parts: readonly Tensor[]) => Tensor[],
): Operator {
  return async (call) => {
    const count = (await call.numbers(1))![0]!, many = (call.inputs.length - 2) / (2 + states);
    const updated = Array.from({ length: many }, (_, i) => {
      const parts = Array.from({ length: 2 + states }, (_, k) => call.x(2 + k * many + i));
      const decay = ops.multiply(parts[0]!, call.float("norm_coefficient", 0));
      return update(call, call.x(0), count, [parts[0]!, ops.add(parts[1]!, decay), ...parts.slice(2)]);
    });
    return Array.from({ length: 1 + states }, (_, k) => updated.map((u) => Value.from(call.value(2).type, u[k]!)))
      .flat();
  };
}

const momentum = optimizer(1, (call, rate, count, [x, g, v]) => {
  const alpha = call.float("alpha", 0), beta = count > 0 ? call.float("beta", 0) : 1;
  const next = ops.add(ops.multiply(v!, alpha), ops.multiply(g!, beta));
  const step = call.string("mode", "standard") === "nesterov" ? ops.add(g!, ops.multiply(next, alpha)) : next;
  return [ops.subtract(x!, ops.multiply(rate, step)), next];
});

const adagrad = optimizer(1, (call, rate, count, [x, g, h]) => {
  const own = ops.divide(rate, 1 + count * call.float("decay_factor", 0)), squares = ops.add(h!, ops.square(g!));
  const step = ops.divide(g!, ops.add(ops.sqrt(squares), call.float("epsilon", 1e-6)));
  return [ops.subtract(x!, ops.multiply(own, step)), squares];
});

const adam = optimizer(2, (call, rate, count, [x, g, v, h]) => {
  const alpha = call.float("alpha", 0.9), beta = call.float("beta", 0.999);
  const first = ops.add(ops.multiply(v!, alpha), ops.multiply(g!, 1 - alpha));
  const second = ops.add(ops.multiply(h!, beta), ops.multiply(ops.square(g!), 1 - beta));
  const own = count > 0 ? ops.multiply(rate, Math.sqrt(1 - beta ** count) / (1 - alpha ** count)) : rate;
  const step = ops.divide(first, ops.add(ops.sqrt(second), call.float("epsilon", 1e-6)));
  const after = ops.multiply(ops.subtract(x!, ops.multiply(own, step)), 1 - call.float("norm_coefficient_post", 0));
  return [after, first, second];
});

/** The table. */
export const losses: Operators = {
  NegativeLogLikelihoodLoss: nllLoss,
  SoftmaxCrossEntropyLoss: crossEntropy,
  "ai.onnx.preview.training.Momentum": momentum,
  "ai.onnx.preview.training.Adagrad": adagrad,
  "ai.onnx.preview.training.Adam": adam,
};
