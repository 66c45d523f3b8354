/** Loaded before tests: tensors use the adapter at hand as if it were a GPU. */
import { openDevice, setDefaultDevice } from "../../src/gpu/device.ts";

setDefaultDevice(await openDevice({ kind: "gpu" }));
