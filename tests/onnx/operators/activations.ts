/** Activations. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { isInteger } from "../types.ts";
import { Value } from "../value.ts";
import { elementwise } from "./elementwise.ts";
import { perChannel } from "./shared.ts";

type Tensor = ops.Tensor;

const unary = (f: (x: Tensor, call: Call) => Tensor): Operator => elementwise((call, x) => f(x!, call));

const relu = unary((x, call) => isInteger(call.type) ? ops.maximum(x, 0) : ops.relu(x));
const scaledExponential = (x: Tensor, alpha: number, gamma: number): Tensor =>
  ops.multiply(gamma, ops.where(ops.greater(x, 0), x, ops.multiply(alpha, ops.expm1(ops.minimum(x, 0)))));
const swish = (x: Tensor, alpha: number): Tensor => ops.multiply(x, ops.sigmoid(ops.multiply(x, alpha)));

/** Before version 13 the axes from `axis` (default 1) on are one. */
function alongAxis(f: (x: Tensor, axis: number) => Tensor): Operator {
  return (call) => {
    const x = call.value(0), { shape } = x, old = call.opset < 13;
    if (!x.size) return x;
    const axis = axisOf(call.int("axis", old ? 1 : -1), shape.length);
    if (!old) {
      return Value.from(x.type, shape.length ? f(x.tensor, axis) : ops.reshape(f(ops.reshape(x.tensor, [1]), 0), []));
    }
    const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
    return Value.from(x.type, ops.reshape(f(ops.reshape(x.tensor, [outer, x.size / outer]), 1), shape));
  };
}

/** 1 at the first largest element along the axis, else 0. */
const hardmax = alongAxis((x, axis) => ops.oneHot(ops.argmax(x, { axis }), x.shape[axis]!, { axis }));

/** Parametric rectifiers: the slope is broadcast to x; before version 7 it is one for each channel. */
const parametricRelu: Operator = (call) => {
  const x = call.x(0), given = call.x(1), old = call.opset < 7 && given.shape.length === 1 && given.size > 1;
  const slope = old ? perChannel(given, x.shape.length) : given;
  return Value.from(call.type, ops.where(ops.less(x, ops.full([], 0, x.dtype)), ops.multiply(x, slope), x));
};

const shrink = unary((x, call) => {
  const lambda = call.float("lambd", 0.5), bias = call.float("bias", 0), f = ops.cast(x, "f32");
  return ops.where(ops.less(f, -lambda), ops.add(f, bias), ops.where(ops.greater(f, lambda), ops.subtract(f, bias), 0));
});

/** The table. */
export const activations: Operators = {
  Relu: relu,
  Sigmoid: unary((x) => ops.sigmoid(x)),
  Softplus: unary((x) => ops.softplus(x)),
  Softsign: unary((x) => ops.softsign(x)),
  Mish: unary((x) => ops.mish(x)),
  HardSwish: unary((x) => ops.hardSwish(x)),
  HardSigmoid: unary((x, call) =>
    ops.clamp(ops.add(ops.multiply(x, call.float("alpha", 0.2)), call.float("beta", 0.5)), 0, 1)
  ),
  Elu: unary((x, call) => scaledExponential(x, call.float("alpha", 1), 1)),
  Selu: unary((x, call) => {
    return scaledExponential(x, call.float("alpha", 1.6732631921768188), call.float("gamma", 1.0507010221481323));
  }),
  Celu: unary((x, call) => {
    const alpha = call.float("alpha", 1),
      negative = ops.multiply(alpha, ops.expm1(ops.divide(ops.minimum(x, 0), alpha)));
    return ops.add(ops.maximum(x, 0), negative);
  }),
  LeakyRelu: unary((x, call) => ops.leakyRelu(x, call.float("alpha", 0.01))),
  ThresholdedRelu: unary((x, call) => ops.where(ops.greater(x, call.float("alpha", 1)), x, 0)),
  PRelu: parametricRelu,
  Gelu: unary((x, call) =>
    ops.gelu(x, { approximate: call.string("approximate", "none") === "tanh" ? "tanh" : "none" })
  ),
  Swish: unary((x, call) => swish(x, call.float("alpha", 1))),
  SwiGLU: elementwise((call, gate, x) => ops.multiply(swish(gate!, call.float("alpha", 1)), x!)),
  Shrink: shrink,
  Softmax: alongAxis((x, axis) => ops.softmax(x, { axis })),
  LogSoftmax: alongAxis((x, axis) => ops.logSoftmax(x, { axis })),
  Hardmax: hardmax,
};
