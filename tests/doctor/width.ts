/**
 * One measurement of Mesa's software driver in a process of its own, since the driver takes its vector width when it is loaded: prints the
 * adapter and the milliseconds of a training step as JSON; "null" where the adapter is another one than llvmpipe through Vulkan.
 */
import { defaultDevice } from "../../src/gpu/device.ts";
import { measure } from "../bench/measure.ts";
import { stepWork } from "../bench/step.ts";

const { adapter, profile } = await defaultDevice();
if (/llvmpipe/i.test(adapter) && profile.subgroups) { // without them it is OpenGL's, of the same name
  const { best } = await measure((await stepWork("tiny", 8)).run, 7);
  console.log(JSON.stringify({ adapter, milliseconds: best }));
} else console.log("null");
Deno.exit();
