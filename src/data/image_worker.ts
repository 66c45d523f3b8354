/**
 * A Worker that reads images. The first message tells how, every further one is a list of files, and the last asks it to end.
 *
 * @module
 */
import { ImageError, ImageReader } from "./images.ts";
import { Random } from "./random.ts";
import type { ImagePlan } from "./transform.ts";

/** First message to the Worker. */
export interface WorkerSettings {
  readonly plan: ImagePlan;
  readonly cacheBytes: number;
}

/** A file to read. */
export interface ImageRequest {
  readonly path: string;
  /** Seeds what is random about the image. */
  readonly seed: number;
  /** Words that follow the seed. */
  readonly fork: readonly number[];
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

/** What the Worker answers. */
export interface WorkerAnswer {
  readonly id: number;
  /** The images one after the other, then zeros up to a multiple of four bytes; an image that failed is zeros. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** Places in the request and why there is no image. */
  readonly failures: readonly (readonly [place: number, reason: string])[];
}

/** Images that are decoded at the same time: one is read while another is computed, and memory stays bounded. */
const AT_ONCE = 2;

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerSettings | WorkerRequest | WorkerEnd>) => void;
  postMessage(message: WorkerAnswer | WorkerEnded, transfer?: Transferable[]): void;
};

let reader: ImageReader, ending = false;
const reading = new Set<Promise<WorkerAnswer>>();

scope.onmessage = async ({ data }) => {
  if ("plan" in data) {
    reader = new ImageReader(data.plan, data.cacheBytes);
  } else if ("end" in data) {
    ending = true;
    await Promise.allSettled(reading);
    scope.postMessage({ ended: true });
  } else {
    const answering = readAll(data);
    reading.add(answering);
    const answer = await answering;
    reading.delete(answering);
    if (!ending) scope.postMessage(answer, [answer.images.buffer]);
  }
};

async function readAll({ id, requests }: WorkerRequest): Promise<WorkerAnswer> {
  const size = reader.plan.resolution ** 2 * 3;
  const images = new Uint8Array(Math.ceil(requests.length * size / 4) * 4), failures: [number, string][] = [];
  let next = 0;
  const readSome = async (): Promise<void> => {
    for (let place = next++; place < requests.length && !ending; place = next++) {
      const { path, seed, fork } = requests[place]!;
      try {
        images.set(await reader.read(path, new Random(seed).fork(...fork)), place * size);
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        failures.push([place, error.message]);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, readSome));
  return { id, images, failures };
}
