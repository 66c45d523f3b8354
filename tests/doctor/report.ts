/**
 * The report of the doctor, made alike in Deno and in a browser. It holds nothing of the machine but adapter, system and versions:
 * no path, no name of a user or a host.
 */
import { describeAdapter, isOpenGl, requestAdapter } from "../../src/gpu/adapter.ts";
import type { TunedShape } from "../../src/gpu/adapter_notes.ts";
import type { Device, DeviceProfile } from "../../src/gpu/device.ts";
import { readEnvironment } from "../../src/gpu/environment.ts";
import type { Line } from "../bench/measure.ts";
import type { Peak } from "../bench/peak.ts";
import type { Family } from "./families.ts";
import type { Mended } from "./remedies.ts";
import type { WidthSpeed } from "./widths.ts";

/** What `--out` writes, as JSON. */
export interface Report {
  /** Of this form; another number when the form changes. */
  readonly format: 1;
  /** When it was made, ISO 8601 in UTC. */
  readonly date: string;
  readonly system: System;
  readonly adapter: Adapter;
  /** By family, in the order in which they ran. */
  readonly checks: readonly Outcome[];
  /** What is avoided from then on for the wrong ones among them, and which stay wrong. */
  readonly mended: Mended;
  /** Speeds; absent if they were not asked for, or a family was wrong. */
  readonly measurements?: Measurements;
  /** The fastest products by class of shapes; absent in a browser, which keeps nothing, and where there are no measurements. */
  readonly products?: Readonly<Record<string, TunedShape>>;
  /** Speeds of the vector widths of Mesa's software driver, where it is the adapter and the width was free. */
  readonly widths?: readonly WidthSpeed[];
}

/** What runs WebGPU. */
export interface System {
  /** Deno and its version, or what a browser calls itself. */
  readonly runtime: string;
  /** Operating system and architecture, "unknown" in a browser. */
  readonly platform: string;
}

/** What is known of the adapter. */
export interface Adapter {
  readonly name: string;
  readonly kind: "cpu" | "gpu";
  /** Vulkan, Metal, Direct3D 12 or OpenGL. WebGPU tells none but OpenGL's: others as the system and DENO_WEBGPU_BACKEND have it. */
  readonly backend: string;
  /** All of `GPUAdapterInfo`; Deno gives the driver and its version in `description` where it knows them. */
  readonly info: Readonly<Record<string, string | number | boolean>>;
  /** Of the device, sorted. */
  readonly features: readonly string[];
  /** Of the adapter. */
  readonly limits: Readonly<Record<string, number>>;
  /** What kernels are chosen by. */
  readonly profile: DeviceProfile;
}

/** What a family of kernels came to. */
export interface Outcome {
  readonly family: string;
  readonly state: "right" | "wrong" | "not there";
  /** Cases that ran. */
  readonly cases: number;
  readonly seconds: number;
  /** What was wrong, a line a case, or why the family is not there. */
  readonly reasons: readonly string[];
}

/** Speeds of the adapter. */
export interface Measurements {
  /** GFLOP/s of multiply-adds and GB/s of copies. */
  readonly peak: Omit<Peak, "adapter">;
  /** Times in milliseconds of products, attention, a block and a training step. */
  readonly works: readonly Line[];
}

/** The strings, numbers and booleans of an object whose fields are getters of its prototype. */
function plainFields<T>(object: object, type: (value: unknown) => boolean): Record<string, T> {
  const fields = object as Record<string, T>, found: Record<string, T> = {};
  for (const name in fields) if (type(fields[name])) found[name] = fields[name]!;
  return found;
}

/** The backend of an adapter. */
function backendOf(adapter: GPUAdapter): string {
  if (!globalThis.Deno) return "the browser's";
  if (isOpenGl(adapter.info, adapter.features)) return "OpenGL";
  const natives: Readonly<Record<string, string>> = { darwin: "Metal", windows: "Direct3D 12 or Vulkan" };
  const chosen: Readonly<Record<string, string>> = { vulkan: "Vulkan", metal: "Metal", dx12: "Direct3D 12" };
  return chosen[readEnvironment("DENO_WEBGPU_BACKEND") ?? ""] ?? natives[Deno.build.os] ?? "Vulkan";
}

/** What is known of the adapter that `device` is of. */
export async function adapterOf(device: Device): Promise<Adapter> {
  const adapter = await requestAdapter(readEnvironment("GRITSTONE_ADAPTER")),
    { name, kind } = describeAdapter(adapter.info);
  const isText = (x: unknown): boolean => ["string", "number", "boolean"].includes(typeof x);
  return {
    ...{ name, kind, backend: backendOf(adapter) },
    info: plainFields(adapter.info, isText),
    features: [...device.gpu.features].sort(),
    limits: plainFields(adapter.limits, (x) => typeof x === "number"),
    profile: device.profile,
  };
}

/** What runs this. */
export function systemOf(): System {
  if (!globalThis.Deno) return { runtime: navigator.userAgent, platform: "unknown" };
  return { runtime: `Deno ${Deno.version.deno}`, platform: `${Deno.build.os} ${Deno.build.arch}` };
}

/** Runs all cases of a family. A case that fails does not keep the others from running, a lost device does. */
export async function checkFamily({ name, missing, checks }: Family, device: Device): Promise<Outcome> {
  const reason = missing?.(device), reasons: string[] = [], start = performance.now();
  if (reason) return { family: name, state: "not there", cases: 0, seconds: 0, reasons: [reason] };
  for (const [i, check] of checks.entries()) {
    try {
      await check(device);
    } catch (error) {
      reasons.push(`case ${i + 1}: ${error instanceof Error ? error.message : error}`);
    }
    if (device.loss) break;
  }
  const seconds = Math.round(performance.now() - start) / 1000;
  return { family: name, state: reasons.length ? "wrong" : "right", cases: checks.length, seconds, reasons };
}

/** The line of a family, for people. */
export function outcomeLine({ family, state, cases, seconds, reasons }: Outcome): string {
  const head = state === "wrong" ? "WRONG" : state;
  return [
    `${family.padEnd(34)} ${head.padEnd(9)} ${cases} ${cases === 1 ? "case" : "cases"}, ${seconds.toFixed(1)} s`,
    ...reasons.map((r) => `    ${r}`),
  ]
    .join("\n");
}

/** Limits that kernels meet. */
const OF_KERNELS = /Compute|maxBufferSize|StorageBuffer(BindingSize|sPerShaderStage)/;

/** The adapter, for people. */
export function adapterLines({ name, kind, backend, info, features, limits, profile }: Adapter): string {
  const { subgroups, subgroupSize, f16 } = profile;
  return [
    `adapter   ${name} (${kind}, ${backend})`,
    `info      ${Object.entries(info).filter(([, v]) => v !== "").map(([k, v]) => `${k} ${v}`).join(", ")}`,
    `kernels   ${subgroups ? `with subgroups of ${subgroupSize || "unknown size"}` : "without subgroups"}, ${
      f16 ? "with" : "without"
    } f16`,
    `features  ${features.join(", ")}`,
    `limits    ${Object.entries(limits).filter(([k]) => OF_KERNELS.test(k)).map(([k, v]) => `${k} ${v}`).join(", ")}`,
  ].join("\n");
}
