/**
 * GRIT's sampler and grouping search.
 *
 * @module
 */
export { type GritMode, type SamplerOptions } from "./options.ts";
export { GritSampler, type Grouping, type GroupingSearch } from "./sampler.ts";
export { type SamplerState } from "./state.ts";
export { type GpuGrouping, gpuGrouping, groupingBytes } from "./group.ts";
