/** The optimizers' formulas as their papers and PyTorch have them, in float64, one parameter at a time. */

/** One parameter in float64. */
export interface Param {
  readonly x: Float64Array;
  readonly shape: readonly number[];
  readonly path: string;
  /** What a reference remembers. */
  readonly state: Record<string, Float64Array>;
}

/** One step t = 1, 2, ... of a parameter with its gradient. */
export type Reference = (p: Param, g: Float64Array, t: number) => void;

/** A state that begins as zeros. */
function moment({ state }: Param, name: string, length: number): Float64Array {
  return state[name] ??= new Float64Array(length);
}

const elementwise =
  (step: (x: number, g: number, moments: number[], t: number) => number, moments: number): Reference => (p, g, t) => {
    const all = Array.from({ length: moments }, (_, m) => moment(p, `${m}`, g.length));
    for (let i = 0; i < g.length; i++) {
      const own = all.map((m) => m[i]!);
      p.x[i] = step(p.x[i]!, g[i]!, own, t);
      all.forEach((m, k) => m[i] = own[k]!);
    }
  };

export const adamStep = (rate: number, beta1: number, beta2: number, eps: number, coupled: number, decoupled: number) =>
  elementwise((x, gradient, m, t) => {
    const g = gradient + coupled * x;
    x *= 1 - rate * decoupled;
    m[0] = beta1 * m[0]! + (1 - beta1) * g;
    m[1] = beta2 * m[1]! + (1 - beta2) * g * g;
    return x - rate / (1 - beta1 ** t) * m[0] / (Math.sqrt(m[1]) / Math.sqrt(1 - beta2 ** t) + eps);
  }, 2);

const rms = (x: Float64Array): number => Math.sqrt(x.reduce((all, v) => all + v * v, 0) / x.length);

/** PyTorch's Adafactor with the last two axes as rows and columns. */
export const adafactorStep = (rate: number, decay: number): Reference => (p, g, t) => {
  const share = t ** -0.8, eps = 2 ** -23, size = Math.max(1e-3, rms(p.x)), square = g.map((v) => v * v);
  const estimate = new Float64Array(g.length);
  if (p.shape.length < 2) {
    const v = moment(p, "v", g.length);
    square.forEach((s, i) => estimate[i] = v[i]! += share * (s - v[i]!));
  } else {
    const [R, C] = p.shape.slice(-2) as [number, number];
    const rows = moment(p, "rows", g.length / C), columns = moment(p, "columns", g.length / R);
    const at = (m: number, r: number, c: number): number => square[(m * R + r) * C + c]!;
    for (let m = 0; m < g.length / (R * C); m++) {
      for (let r = 0; r < R; r++) {
        const mean = Array.from({ length: C }, (_, c) => at(m, r, c)).reduce((a, b) => a + b) / C;
        rows[m * R + r]! += share * (mean - rows[m * R + r]!);
      }
      for (let c = 0; c < C; c++) {
        const mean = Array.from({ length: R }, (_, r) => at(m, r, c)).reduce((a, b) => a + b) / R;
        columns[m * C + c]! += share * (mean - columns[m * C + c]!);
      }
      const ofRows = rows.slice(m * R, (m + 1) * R).reduce((a, b) => a + b) / R;
      for (let r = 0; r < R; r++) {
        for (let c = 0; c < C; c++) {
          estimate[(m * R + r) * C + c] = rows[m * R + r]! * columns[m * C + c]! / Math.max(ofRows, eps);
        }
      }
    }
  }
  const update = g.map((v, i) => v / Math.sqrt(Math.max(estimate[i]!, eps * eps)));
  const alpha = size * Math.min(rate, 1 / Math.sqrt(t)) / Math.max(1, rms(update));
  for (let i = 0; i < g.length; i++) p.x[i] = p.x[i]! * (1 - rate * decay) - alpha * update[i]!;
};

export const momentumStep = (rate: number, momentum: number, nesterov: boolean, decay: number) =>
  elementwise((x, gradient, m) => {
    const g = gradient + decay * x;
    m[0] = momentum * m[0]! + g;
    return x - rate * (nesterov ? g + momentum * m[0] : m[0]);
  }, 1);

export const lionStep = (rate: number, beta1: number, beta2: number, decay: number) =>
  elementwise((x, g, m) => {
    const direction = Math.sign(beta1 * m[0]! + (1 - beta1) * g);
    m[0] = beta2 * m[0]! + (1 - beta2) * g;
    return x * (1 - rate * decay) - rate * direction;
  }, 1);

export const rmspropStep = (rate: number, alpha: number, eps: number, momentum: number, decay: number) =>
  elementwise((x, gradient, m) => {
    const g = gradient + decay * x;
    m[0] = alpha * m[0]! + (1 - alpha) * g * g;
    m[1] = momentum * m[1]! + g / (Math.sqrt(m[0]) + eps);
    return x - rate * m[1];
  }, 2);
