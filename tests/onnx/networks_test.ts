/** Networks' operators against plain references in float64, on attributes that change what they do. */
import { assertEquals } from "@std/assert";
import { type Attribute, floats, type Given, outcomeOfOperator } from "./testing.ts";
import { placesOf, stridesOf } from "./operators/shared.ts";

type Attributes = Readonly<Record<string, Attribute>>;

async function passes(
  op: string,
  inputs: (Given | undefined)[],
  outputs: Given[],
  attributes: Attributes = {},
  opset = 23,
): Promise<void> {
  const { result, reason } = await outcomeOfOperator(op, inputs, outputs, attributes, opset);
  assertEquals(reason ?? result, "passed", `${op} ${JSON.stringify(attributes)}`);
}

/** The element at a place, 0 beyond the axes. */
function at({ shape, data }: Given, place: readonly number[]): number {
  if (place.some((x, i) => x < 0 || x >= shape[i]!)) return 0;
  return data[stridesOf(shape).reduce((sum, stride, i) => sum + stride * place[i]!, 0)]!;
}

/** The value whose elements are f of their places. */
function made(shape: readonly number[], f: (place: number[]) => number): Given {
  return { shape, data: placesOf(shape).map(f) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

interface Moves {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Befores, then behinds. */
  readonly pads: readonly number[];
}

const attributesOf = (m: Moves): Attributes => ({
  strides: { ints: m.strides },
  dilations: { ints: m.dilations },
  pads: { ints: m.pads },
});

function convolved(x: Given, weight: Given, m: Moves, groups: number): Given {
  const rank = m.strides.length, [outputs, each, ...kernel] = weight.shape as [number, number, ...number[]];
  const to = kernel.map((k, i) =>
    Math.floor((x.shape[i + 2]! + m.pads[i]! + m.pads[i + rank]! - m.dilations[i]! * (k - 1) - 1) / m.strides[i]!) + 1
  );
  return made([x.shape[0]!, outputs, ...to], ([n, o, ...p]) =>
    sum(
      placesOf([each, ...kernel]).map(([c, ...k]) => {
        const place = p.map((v, i) => v * m.strides[i]! + k[i]! * m.dilations[i]! - m.pads[i]!);
        return at(x, [n!, Math.floor(o! / (outputs / groups)) * each + c!, ...place]) * at(weight, [o!, c!, ...k]);
      }),
    ));
}

/** Every element of x adds the kernel at its place. */
function transposed(x: Given, weight: Given, m: Moves, extra: readonly number[], groups: number): Given {
  const rank = m.strides.length, [inputs, each, ...kernel] = weight.shape as [number, number, ...number[]];
  const to = kernel.map((k, i) =>
    (x.shape[i + 2]! - 1) * m.strides[i]! + m.dilations[i]! * (k - 1) + 1 + extra[i]! - m.pads[i]! - m.pads[i + rank]!
  );
  return made([x.shape[0]!, each * groups, ...to], ([n, o, ...p]) => {
    const group = Math.floor(o! / each), own = inputs / groups;
    return sum(
      placesOf([own, ...kernel]).map(([c, ...k]) => {
        const place = p.map((v, i) => (v + m.pads[i]! - k[i]! * m.dilations[i]!) / m.strides[i]!);
        if (!place.every(Number.isInteger)) return 0;
        return at(x, [n!, group * own + c!, ...place]) * at(weight, [group * own + c!, o! % each, ...k]);
      }),
    );
  });
}

Deno.test("convolutions of one, two and three axes, with groups, steps and uneven padding, and their transposes", async () => {
  const line = { strides: [2], dilations: [2], pads: [1, 3] },
    plane = { strides: [2, 1], dilations: [1, 2], pads: [1, 0, 0, 2] };
  const space = { strides: [1, 2, 1], dilations: [1, 1, 2], pads: [0, 1, 1, 1, 0, 1] };
  for (const [m, from, kernel] of [[line, [9], [3]], [plane, [6, 7], [3, 2]], [space, [3, 5, 4], [2, 3, 2]]] as const) {
    const x = floats(2, 4, ...from), weight = floats(6, 2, ...kernel);
    await passes("Conv", [x, weight], [convolved(x, weight, m, 2)], { ...attributesOf(m), group: { i: 2 } });
    const extra = m.strides.map((s) => s - 1), back = floats(4, 3, ...kernel);
    const attributes = { ...attributesOf(m), output_padding: { ints: extra }, group: { i: 2 } };
    await passes("ConvTranspose", [x, back], [transposed(x, back, m, extra, 2)], attributes);
  }
});

Deno.test("convolution from places between pixels: parts of the channels with own offsets, and a mask", async () => {
  const x = floats(1, 4, 4, 4), weight = floats(2, 4, 2, 2), offset = floats(1, 16, 3, 3), mask = floats(1, 8, 3, 3);
  const between = (c: number, y: number, z: number): number => {
    const [a, b] = [Math.floor(y), Math.floor(z)];
    return sum(
      [[0, 0], [0, 1], [1, 0], [1, 1]].map(([i, j]) =>
        at(x, [0, c, a + i!, b + j!]) * (1 - Math.abs(y - a - i!)) * (1 - Math.abs(z - b - j!))
      ),
    );
  };
  const y = made([1, 2, 3, 3], ([, o, p, q]) =>
    sum(
      placesOf([4, 2, 2]).map(([c, r, s]) => {
        const part = Math.floor(c! / 2) * 4 + r! * 2 + s!,
          by = (i: number): number => at(offset, [0, 2 * part + i, p!, q!]);
        return at(weight, [o!, c!, r!, s!]) * at(mask, [0, part, p!, q!]) *
          between(c!, p! + r! + by(0), q! + s! + by(1));
      }),
    ));
  await passes("DeformConv", [x, weight, offset, undefined, mask], [y], { offset_group: { i: 2 } });
});

Deno.test("pools whose last window sticks out, that count padding or not, and tell where the largest elements are", async () => {
  const x = floats(1, 2, 5, 6),
    moves = { kernel_shape: { ints: [3, 3] }, strides: { ints: [2, 2] }, pads: { ints: [1, 0, 0, 1] } };
  // Positions 0, 1, 2 of both axes: lines from -1, 1, 3 on, of 5, and columns from 0, 2, 4 on, of 6 and one of padding.
  const under = (place: readonly number[]): number[][] =>
    placesOf([3, 3]).map(([r, s]) => [0, place[1]!, place[2]! * 2 - 1 + r!, place[3]! * 2 + s!]);
  const within = (limits: readonly number[]) => (p: readonly number[]): boolean =>
    p[2]! >= limits[0]! && p[2]! < limits[1]! && p[3]! < limits[2]!;
  const real = within([0, 5, 6]), padded = within([-1, 5, 7]);
  const shape = [1, 2, 3, 3],
    best = (p: number[]): number[] => under(p).filter(real).reduce((a, b) => at(x, b) > at(x, a) ? b : a);
  const means = (counted: (p: readonly number[]) => boolean): Given =>
    made(shape, (p) => sum(under(p).map((q) => at(x, q))) / under(p).filter(counted).length);
  const ceil = { ...moves, ceil_mode: { i: 1 } };
  await passes("AveragePool", [x], [means(real)], ceil);
  await passes("AveragePool", [x], [means(padded)], { ...ceil, count_include_pad: { i: 1 } });
  const where = (f: (y: number, z: number) => number): Given => ({
    ...made(shape, (p) => p[1]! * 30 + f(best(p)[2]!, best(p)[3]!)),
    type: "int64",
  });
  await passes("MaxPool", [x], [made(shape, (p) => at(x, best(p)))], ceil);
  const largest = made(shape, (p) => at(x, best(p)));
  await passes("MaxPool", [x], [largest, where((y, z) => z * 5 + y)], { ...ceil, storage_order: { i: 1 } });
});

/** One direction of an LSTM in float64: outputs [time][batch][hidden], with peepholes; ended sequences keep their state. */
function lstm(
  x: Given,
  [w, r, b, p]: Given[],
  way: number,
  lengths: number[],
  hidden: number,
): { y: number[][][]; h: number[][]; c: number[][] } {
  const [time, batch, inputs] = x.shape as [number, number, number];
  const h = range(batch).map(() => Array<number>(hidden).fill(0)), c = h.map((row) => [...row]), y: number[][][] = [];
  for (const t of way ? range(time).reverse() : range(time)) {
    y[t] = range(batch).map((n) => {
      if (t >= lengths[n]!) return Array<number>(hidden).fill(0);
      const before = [...h[n]!];
      return range(hidden).map((j) => {
        const gate = (g: number): number => {
          const row = g * hidden + j;
          return sum(range(inputs).map((i) => at(x, [t, n, i]) * at(w!, [way, row, i]))) +
            sum(range(hidden).map((i) => before[i]! * at(r!, [way, row, i]))) + at(b!, [way, row]) +
            at(b!, [way, 4 * hidden + row]);
        };
        const seen = (g: number, state: number): number => at(p!, [way, g * hidden + j]) * state, old = c[n]![j]!;
        const i = sigmoid(gate(0) + seen(0, old)), f = sigmoid(gate(2) + seen(2, old));
        c[n]![j] = f * old + i * Math.tanh(gate(3));
        return h[n]![j] = sigmoid(gate(1) + seen(1, c[n]![j]!)) * Math.tanh(c[n]![j]!);
      });
    });
  }
  return { y, h, c };
}

Deno.test("LSTM in both directions with peepholes and sequences of different lengths", async () => {
  const hidden = 2,
    x = floats(3, 2, 3),
    parts = [floats(2, 8, 3), floats(2, 8, 2), floats(2, 16), floats(2, 6)],
    lengths = [3, 2];
  const ways = [0, 1].map((way) => lstm(x, parts, way, lengths, hidden));
  const y = made([3, 2, 2, hidden], ([t, way, n, j]) => ways[way!]!.y[t!]![n!]![j!]!);
  const last = (name: "h" | "c"): Given => made([2, 2, hidden], ([way, n, j]) => ways[way!]![name][n!]![j!]!);
  const inputs = [
    x,
    ...parts.slice(0, 3),
    { shape: [2], data: lengths, type: "int32" as const },
    undefined,
    undefined,
    parts[3],
  ];
  await passes("LSTM", inputs, [y, last("h"), last("c")], {
    hidden_size: { i: hidden },
    direction: { s: "bidirectional" },
  });
});

Deno.test("GRU whose reset comes after the product with the state, and before it", async () => {
  const x = floats(1, 1, 2), w = floats(1, 6, 2), r = floats(1, 6, 2), b = floats(1, 12), start = floats(1, 1, 2);
  const row = (g: number, j: number): number =>
    sum([0, 1].map((i) => x.data[i]! * at(w, [0, 2 * g + j, i]))) + at(b, [0, 2 * g + j]);
  const state = (g: number, j: number, h: readonly number[]): number =>
    sum([0, 1].map((i) => h[i]! * at(r, [0, 2 * g + j, i]))) + at(b, [0, 6 + 2 * g + j]);
  const h = start.data,
    z = [0, 1].map((j) => sigmoid(row(0, j) + state(0, j, h))),
    reset = [0, 1].map((j) => sigmoid(row(1, j) + state(1, j, h)));
  for (const after of [true, false]) {
    const next = [0, 1].map((j) => {
      const inner = after ? reset[j]! * state(2, j, h) : state(2, j, [reset[0]! * h[0]!, reset[1]! * h[1]!]);
      return (1 - z[j]!) * Math.tanh(row(2, j) + inner) + z[j]! * h[j]!;
    });
    const attributes = { hidden_size: { i: 2 }, linear_before_reset: { i: Number(after) } };
    await passes("GRU", [x, w, r, b, undefined, start], [{ shape: [1, 1, 1, 2], data: next }], attributes);
  }
});

Deno.test("determinants by elimination; Fourier transforms and back", async () => {
  const x = floats(2, 4, 4),
    minor = (m: number[][]): number =>
      m.length === 1
        ? m[0]![0]!
        : sum(m[0]!.map((v, j) => (-1) ** j * v * minor(m.slice(1).map((r) => r.toSpliced(j, 1)))));
  const matrix = (n: number): number[][] => range(4).map((i) => range(4).map((j) => at(x, [n, i, j])));
  await passes("Det", [x], [{ shape: [2], data: [minor(matrix(0)), minor(matrix(1))] }]);
  const signal = floats(1, 7, 1),
    part = (f: (x: number) => number, k: number): number =>
      sum(signal.data.map((v, i) => v * f(2 * Math.PI * i * k / 7)));
  const spectrum = made([1, 4, 2], ([, k, i]) => i ? -part(Math.sin, k!) : part(Math.cos, k!));
  await passes("DFT", [signal], [spectrum], { onesided: { i: 1 } });
  const back = { onesided: { i: 1 }, inverse: { i: 1 } };
  await passes("DFT", [spectrum, { shape: [], data: [7], type: "int64" }], [signal], back);
});
