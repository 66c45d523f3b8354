/**
 * What a scan carries from element to element, as WGSL for kernels/scan.wgsl: E, S, `unit`, `combine`, `result`, and `state_at`
 * apart, for only the kernels that see elements have it.
 *
 * @module
 */
import type { DType } from "../program/graph.ts";

/** Kinds of scans. */
export type ScanKind = "cumsum" | "cumprod" | "logCumsumExp" | "linearScan";

/** The WGSL of a kind, and the size of its state. */
export interface ScanStates {
  /** E, S and the functions of states. */
  readonly states: string;
  /** `fn state_at(at) -> S`. */
  readonly stateAt: string;
  /** Bytes of S in memory. */
  readonly bytes: number;
}

/**
 * Products as (m, e), for m * 2^e with |m| in [1, 2): no part of a row overflows, where the rest would bring it back or a 0
 * comes before it. 0, infinities and NaN stay as they are.
 */
const SCALED = `
fn scaled(m: f32, e: f32) -> vec2<f32> {
  let bits = bitcast<u32>(m);
  let exponent = (bits >> 23u) & 0xffu;
  let normal = exponent != 0u && exponent != 0xffu;
  return select(vec2(m, e), vec2(bitcast<f32>((bits & 0x807fffffu) | 0x3f800000u), e + f32(exponent) - 127.0), normal);
}
fn power_of_two(e: f32) -> f32 { return bitcast<f32>(u32(e + 127.0) << 23u); }
fn times(v: f32, p: vec2<f32>) -> f32 {
  let e = clamp(p.y, -252.0, 254.0); // in two steps, each a normal f32
  let half = floor(e * 0.5);
  return v * power_of_two(half) * p.x * power_of_two(e - half);
}`;

const floats: Record<Exclude<ScanKind, "cumsum">, ScanStates> = {
  cumprod: {
    bytes: 8,
    states: `alias E = f32;
alias S = vec2<f32>; // a product, scaled${SCALED}
fn unit() -> S { return S(1.0, 0.0); }
fn combine(a: S, b: S) -> S { return scaled(a.x * b.x, a.y + b.y); }
fn result(s: S) -> E { return times(1.0, s); }`,
    stateAt: "fn state_at(at: u32) -> S { return scaled(x[at], 0.0); }",
  },
  logCumsumExp: {
    bytes: 8,
    states: `alias E = f32;
alias S = vec2<f32>; // the largest element, or LOWEST, and the sum of e to the others minus it
fn unit() -> S { return S(LOWEST, 0.0); }
fn weight(x: f32, top: f32) -> f32 {
  if (bitcast<u32>(x) == bitcast<u32>(top)) { return 1.0; } // infinities too
  let d = x - top;
  let bits = bitcast<u32>(d);
  let finite = select(exp(clamp(d, -87.0, 0.0)), 0.0, bits == 0xff800000u);
  return select(finite, d, (bits & 0x7fffffffu) > 0x7f800000u);
}
fn combine(a: S, b: S) -> S {
  let top = max(a.x, b.x);
  return S(top, fma(a.y, weight(a.x, top), b.y * weight(b.x, top)));
}
fn result(s: S) -> E { return s.x + log(s.y); }`,
    stateAt: "fn state_at(at: u32) -> S { return S(x[at], 1.0); }",
  },
  linearScan: {
    bytes: 16,
    states: `alias E = f32;
alias S = vec4<f32>; // h -> a * h + b as a (scaled), b, and nothing${SCALED}
fn unit() -> S { return S(1.0, 0.0, 0.0, 0.0); }
fn combine(a: S, b: S) -> S {
  return S(scaled(a.x * b.x, a.y + b.y), times(a.z, b.xy) + b.z, 0.0);
}
fn result(s: S) -> E { return s.z; }`,
    stateAt: `@group(0) @binding(0) var<storage, read_write> b: array<f32>;
fn state_at(at: u32) -> S { return S(scaled(x[at], 0.0), b[at], 0.0); }`,
  },
};

/** The states of a kind of scan over elements of a type: floats, or integers that are added up. */
export function scanStates(kind: ScanKind, dtype: DType): ScanStates {
  if (kind !== "cumsum") return floats[kind];
  return {
    bytes: 4,
    states: `alias E = ${dtype};
alias S = E;
fn unit() -> S { return S(0); }
fn combine(a: S, b: S) -> S { return a + b; }
fn result(s: S) -> E { return s; }`,
    stateAt: "fn state_at(at: u32) -> S { return x[at]; }",
  };
}
