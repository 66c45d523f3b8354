/**
 * What a run's bytes depend on beside its settings: the adapter and the kernels that were chosen on it. A run that goes on keeps them.
 *
 * @module
 */
import { isNames, isShapes } from "../gpu/adapter_notes.ts";
import type { Device } from "../gpu/device.ts";
import type { KernelChoices } from "../gpu/kernel_choices.ts";

/** The adapter of a run, and how its kernels were chosen. */
export interface RunDevice extends KernelChoices {
  readonly adapter: string;
}

/** Whether a checkpoint says it well. */
export function isRunDevice(value: unknown): value is RunDevice {
  const { adapter, avoid, products } = (value ?? {}) as Partial<RunDevice>;
  return typeof adapter === "string" && isNames(avoid) && isShapes(products);
}

/** What a run has that trains on `device` now. */
export function runDevice({ adapter, profile: { choices } }: Device): RunDevice {
  const products = Object.entries(choices?.products ?? {}).sort(([a], [b]) => a < b ? -1 : 1)
    .map(([shapes, { variant, splits }]) => [shapes, { variant, splits }]);
  return { adapter, avoid: [...choices?.avoid ?? []].sort(), products: Object.fromEntries(products) };
}

/**
 * Chooses kernels on `device` as the run did that goes on, but for those that have been found wrong since.
 *
 * @param began Undefined if the checkpoint is of a version that did not say it.
 * @returns What is not as it was, as a sentence; undefined if nothing is.
 */
export function goOnWith(device: Device, began: RunDevice | undefined): string | undefined {
  const now = runDevice(device);
  if (!began) return Object.keys(now.products).length ? UNKNOWN : undefined;
  const newlyWrong = now.avoid.filter((name) => !began.avoid.includes(name));
  device.choose({ avoid: [...began.avoid, ...newlyWrong], products: began.products });
  const bits = "so results differ in their last bits from those of a run without a break";
  if (began.adapter !== now.adapter) {
    return `the run began on "${began.adapter}" and goes on on "${now.adapter}", ${bits}`;
  }
  if (newlyWrong.length) {
    return `kernels that the run began with were found wrong since (${newlyWrong.join(", ")}), ${bits}`;
  }
  if (JSON.stringify(began.products) === JSON.stringify(now.products)) return undefined;
  return "the run goes on with the matrix products that it began with, not with those that are measured to be fastest now";
}

const UNKNOWN =
  "the checkpoint does not say which matrix products the run began with: those of the tuning are used, so results may " +
  "differ in their last bits from those of a run without a break (--no-tuning: those of the built-in rule)";
