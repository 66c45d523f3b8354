/**
 * A Worker that reads images. The first message tells how, every further one is a list of files, and the last asks it to end.
 *
 * @module
 */
import { ImageError, ImageReader } from "./images.ts";
import { Random } from "../random/random.ts";
import type { ImagePlan } from "./transform.ts";

/** First message to the Worker. */
export interface WorkerSettings {
  /** What happens to an image, once for each view of it. */
  readonly views: readonly ImagePlan[];
  readonly cacheBytes: number;
}

/** A file to read. */
export interface ImageRequest {
  readonly path: string;
  /** Seeds what is random about the image. */
  readonly seed: number;
  /** Words that follow the seed, for each view. */
  readonly forks: readonly (readonly number[])[];
}

/** Further messages to the Worker. */
export interface WorkerRequest {
  readonly id: number;
  readonly requests: readonly ImageRequest[];
}

/** Last message to the Worker: it decodes what it has begun and reads no more. */
export interface WorkerEnd {
  readonly end: true;
}

/** Last message of the Worker: no native code runs in it any more, so that it can be terminated. */
export interface WorkerEnded {
  readonly ended: true;
}

/** The bytes of every view of an image, or why there are none. */
export type ImageResult = readonly Uint8Array<ArrayBuffer>[] | string;

/** What the Worker answers. */
export interface WorkerAnswer {
  readonly id: number;
  /** In the order of the requests. */
  readonly results: readonly ImageResult[];
}

/** Images that are decoded at the same time: one is read while another is computed, and memory stays bounded. */
const AT_ONCE = 2;

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerSettings | WorkerRequest | WorkerEnd>) => void;
  postMessage(message: WorkerAnswer | WorkerEnded, transfer?: Transferable[]): void;
};

let reader: ImageReader, ending = false;
const reading = new Set<Promise<ImageResult[]>>();

scope.onmessage = async ({ data }) => {
  if ("views" in data) {
    reader = new ImageReader(data.views, data.cacheBytes);
  } else if ("end" in data) {
    ending = true;
    await Promise.allSettled(reading);
    scope.postMessage({ ended: true });
  } else {
    const answering = readAll(data.requests);
    reading.add(answering);
    const results = await answering;
    reading.delete(answering);
    if (!ending) scope.postMessage({ id: data.id, results }, results.flatMap(buffersOf));
  }
};

function buffersOf(result: ImageResult): ArrayBuffer[] {
  return typeof result === "string" ? [] : result.map(({ buffer }) => buffer);
}

async function readAll(requests: readonly ImageRequest[]): Promise<ImageResult[]> {
  const results: ImageResult[] = [];
  let next = 0;
  const readSome = async (): Promise<void> => {
    for (let place = next++; place < requests.length && !ending; place = next++) {
      results[place] = await readOne(requests[place]!);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, readSome));
  return results;
}

async function readOne({ path, seed, forks }: ImageRequest): Promise<ImageResult> {
  try {
    const views = await reader.read(path, (view) => new Random(seed).fork(...forks[view]!));
    return views.map((view) => view.slice()); // what is sent away is lost here, and the cache may hold these bytes
  } catch (error) {
    if (error instanceof ImageError) return error.message;
    throw error;
  }
}
