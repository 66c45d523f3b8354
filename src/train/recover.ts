/**
 * Going on after the GPU has failed: which failures a new device mends, and what a run says of them.
 *
 * @module
 */
import { defaultDevice, type Device, openDevice, setDefaultDevice } from "../gpu/device.ts";
import { DeviceLostError, OutOfMemoryError } from "../gpu/errors.ts";

/** How long the loss of a device may take to be told, milliseconds. */
const LOSS_MS = 50;

/** The failure of the GPU behind an error, where there is one: what fails on a lost device does so in many ways. */
export async function gpuFailure(error: unknown): Promise<DeviceLostError | OutOfMemoryError | undefined> {
  if (error instanceof OutOfMemoryError || error instanceof DeviceLostError) return error;
  await new Promise((resolve) => setTimeout(resolve, LOSS_MS));
  return (await defaultDevice()).loss;
}

/** Gives back the default device with all its memory, and makes a new one the default. */
export async function replaceDevice(open: () => Promise<Device> = openDevice): Promise<void> {
  (await defaultDevice()).close();
  setDefaultDevice(await open());
}
