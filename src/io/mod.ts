/**
 * Files: checkpoints of this and of other tools, safetensors, settings, tunings, and the terminal. Where Deno is needed, it is here.
 *
 * @module
 */
export { type Archive, type LazyTensor, type TensorInfo } from "./archive.ts";
export { writeFileAtomic, type WriteOptions } from "./atomic.ts";
export { DiskError } from "./disk_error.ts";
export { type GridSize, resizeBicubic } from "./bicubic.ts";
export { type Dtype, type DTYPE_BITS, type NamedTensor, type TensorData } from "./dtype.ts";
export { type NameRule, type NameTable } from "./names.ts";
export { albefNames, albefNamesForAnswers, albefNamesForTwoImages, albefNamesOfTwoImages } from "./names_albef.ts";
export { bertNames } from "./names_bert.ts";
export { dinov2Names, openLmNames, siglipNames } from "./names_language_model.ts";
export { viltNames } from "./names_vilt.ts";
export { huggingFaceVitNames, timmNames } from "./names_vit.ts";
export { openCheckpoint } from "./checkpoint.ts";
export { type ExportOptions, exportParameters } from "./export.ts";
export { type LoadOptions, loadParameters } from "./load.ts";
export { formatLoadReport, type LoadReport } from "./load_report.ts";
export { openPth } from "./pth.ts";
export { openSafetensors, parseSafetensors, writeSafetensors } from "./safetensors.ts";
export { sha256IfThere, sha256OfText } from "./files.ts";
export { stopOnSignals, type StopRequest } from "./signals.ts";
export { ProgressLine } from "./terminal.ts";
export { readSettingsFile } from "./settings_file.ts";
export { setUpAdapter } from "./setup.ts";
export { loadTuning } from "./matmul_tuning.ts";
