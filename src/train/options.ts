/**
 * What a run is told, and what it gives.
 *
 * @module
 */
import type { Device } from "../gpu/device.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import type { SettingsRecord } from "../settings/record.ts";
import type { SavedCheckpoint } from "./checkpoint.ts";
import type { Metrics } from "./report.ts";
import type { StepOptions } from "./step.ts";

/** Options of {@linkcode train}. */
export interface TrainOptions extends StepOptions {
  /** Optimizer steps in all, those before a resume included. */
  readonly steps: number;
  /** Learning rate of a step, from 0; `epoch` is that of its mini-batch. */
  readonly learningRate: (step: number, epoch: number) => number;
  /** Decides on starting values, dropout and drawn negatives. @default 0 */
  readonly seed?: number;
  /** Starting values that replace those of the specs, by name (see `loadParameters`). */
  readonly initial?: ReadonlyMap<string, Float32Array>;
  /** Folder for checkpoints and metrics; without it nothing is written. */
  readonly out?: string;
  /** Texts to be written into that folder by file name, once all checks have passed. */
  readonly files?: Readonly<Record<string, string>>;
  /** Settings of the calling program that a resumed run must share, by the names of its flags; see `resumable`. */
  readonly settings?: SettingsRecord;
  /** Delete what an earlier run left in `out`, which is refused otherwise unless it is resumed. @default false */
  readonly overwrite?: boolean;
  /** Steps between checkpoints; there is one at the end in any case. @default 200 */
  readonly checkpointEvery?: number;
  /**
   * What happens when the disk does not take a checkpoint or a line of metrics: the run ends ("stop"), or says so and goes on
   * ("continue"); the checkpoint at the end must be written in any case. @default "stop"
   */
  readonly onSaveError?: "stop" | "continue";
  /**
   * How often the run opens the device anew when it was lost or has no more memory, and goes on from the last checkpoint (the start, where
   * there is none yet). Steps since then are done and reported again, and come to the same bytes. @default 0
   */
  readonly recover?: number;
  /** Opens the device anew. @default openDevice() */
  readonly openDevice?: () => Promise<Device>;
  /** Continue from the newest checkpoint of `out` (true) or of another folder or file. */
  readonly resume?: boolean | string;
  /**
   * A resumed run may have more `steps` than it was begun for. Only where neither `learningRate` nor the task depends on their number: then it
   * ends as one run of all these steps would. @default false
   */
  readonly extend?: boolean;
  /**
   * Ends the run early: when it is aborted, the step that is under way is completed and a checkpoint is written; the result says `stopped`.
   * See `stopOnSignals`.
   */
  readonly signal?: AbortSignal;
  /** Steps between reports; each report waits for the GPU once. @default 20 */
  readonly logEvery?: number;
  /** Called with every report. */
  readonly onMetrics?: (metrics: Metrics) => void | Promise<void>;
  /** Steps between evaluations. Default: at the end only. */
  readonly evaluateEvery?: number;
  /** Progress on standard error, or given to a function line by line. @default true */
  readonly progress?: boolean | ((line: string) => void);
  /** Profiles the third mini-batch: a table in this path with ".txt" and a trace in it with ".json". */
  readonly profile?: string;
}

/** What a run has come to. */
export interface TrainResult<S extends SpecTree> {
  /** The trained parameters, on the GPU. */
  readonly params: ParametersOf<S>;
  /** Optimizer steps done, those before a resume included. */
  readonly steps: number;
  /** Whether `signal` ended the run before its last step; nothing is evaluated then. */
  readonly stopped: boolean;
  /** Seconds of this process's training, without what came before a resume. */
  readonly seconds: number;
  /** Means over the first and the last tenth of the steps (as many steps where the data ended before). */
  readonly loss: { readonly first: number; readonly last: number };
  /** What the task measured at the end; empty if it measures nothing. */
  readonly evaluation: Readonly<Record<string, number>>;
  /** The last checkpoint, if any was written. */
  readonly checkpoint: SavedCheckpoint | null;
}

/** Throws for the first option that makes no sense. @throws {RangeError} With its value. */
export function checkOptions(options: TrainOptions): void {
  const { steps, accumulate, checkpointEvery, logEvery, evaluateEvery, clip, recover = 0 } = options;
  for (const [name, n] of Object.entries({ steps, accumulate, checkpointEvery, logEvery, evaluateEvery })) {
    if (Number.isInteger(n) && n! >= 1) continue;
    if (n === undefined && name !== "steps" || n === Infinity && name === "evaluateEvery") continue;
    throw new RangeError(`Cannot train: "${name}" must be a whole number of at least 1: it is ${n}`);
  }
  if (!(Number.isInteger(recover) && recover >= 0)) {
    throw new RangeError(`Cannot train: "recover" must be a whole number of at least 0: it is ${recover}`);
  }
  if (clip !== undefined && !(clip > 0)) throw new RangeError(`Cannot train: "clip" must be above 0: it is ${clip}`);
}
