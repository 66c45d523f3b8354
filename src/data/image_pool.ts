/**
 * Workers that read images, so that decoding neither waits for the GPU nor makes it wait.
 *
 * @module
 */
import type {
  ImageRequest,
  WorkerAnswer,
  WorkerEnd,
  WorkerEnded,
  WorkerRequest,
  WorkerSettings,
} from "./image_worker.ts";
import type { ImagePlan } from "./transform.ts";

/** A request and the number that decides which Worker, and so which cache, serves it. */
export interface PoolRequest extends ImageRequest {
  readonly imageId: number;
}

/** Images of a list of requests. */
export interface PoolAnswer {
  /** The images one after the other, then zeros up to a multiple of four bytes; an image that failed is zeros. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** Why there is no image, by place in the list. */
  readonly failures: ReadonlyMap<number, string>;
}

/** A number of Workers, each of which always serves the same images. */
export class ImagePool {
  readonly #workers: PoolWorker[];
  readonly #imageBytes: number;

  constructor(plan: ImagePlan, workers: number, cacheBytes: number) {
    this.#imageBytes = plan.resolution ** 2 * 3;
    const settings = { plan, cacheBytes: Math.floor(cacheBytes / workers) };
    this.#workers = Array.from({ length: workers }, () => new PoolWorker(settings));
  }

  /** @throws {Error} If a Worker stopped or the pool is closed; not for images that cannot be read. */
  async read(requests: readonly PoolRequest[]): Promise<PoolAnswer> {
    const places = this.#workers.map((): number[] => []);
    requests.forEach(({ imageId }, place) => places[imageId % places.length]!.push(place));
    const answers = await Promise.all(
      this.#workers.map((worker, w) => worker.read(places[w]!.map((p) => requests[p]!))),
    );
    const failures = answers.flatMap((answer, w) =>
      answer.failures.map(([i, reason]) => [places[w]![i]!, reason] as const)
    );
    if (answers.length === 1) return { images: answers[0]!.images, failures: new Map(failures) };
    const size = this.#imageBytes, images = new Uint8Array(Math.ceil(requests.length * size / 4) * 4);
    answers.forEach((answer, w) =>
      places[w]!.forEach((place, i) => images.set(answer.images.subarray(i * size, (i + 1) * size), place * size))
    );
    return { images, failures: new Map(failures) };
  }

  /** Gives up what is being read, at once, and waits until the Workers have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}

/** One Worker and the requests that it has not answered. */
class PoolWorker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, PromiseWithResolvers<WorkerAnswer>>();
  readonly #ended = Promise.withResolvers<void>();
  #next = 0;
  #stopped: Error | undefined;

  constructor(settings: WorkerSettings) {
    this.#worker = new Worker(new URL("./image_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerAnswer | WorkerEnded>) => {
      if ("ended" in data) return this.#terminate();
      this.#waiting.get(data.id)?.resolve(data);
      this.#waiting.delete(data.id);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#giveUp(new Error(`Cannot read images: a Worker stopped (${event.message})`));
      this.#terminate();
    };
    this.#worker.postMessage(settings);
  }

  read(requests: readonly ImageRequest[]): Promise<WorkerAnswer> {
    if (this.#stopped) return Promise.reject(this.#stopped);
    const id = this.#next++, answer = Promise.withResolvers<WorkerAnswer>();
    this.#waiting.set(id, answer);
    this.#worker.postMessage({ id, requests } satisfies WorkerRequest);
    return answer.promise;
  }

  /** Terminating a Worker while it decodes would pull its memory from under the decoder's threads, so it is asked to end. */
  close(): Promise<void> {
    this.#giveUp(new Error("Cannot read images: the loader is closed"));
    this.#worker.postMessage({ end: true } satisfies WorkerEnd);
    return this.#ended.promise;
  }

  #giveUp(reason: Error): void {
    this.#stopped ??= reason;
    for (const answer of this.#waiting.values()) answer.reject(reason);
    this.#waiting.clear();
  }

  #terminate(): void {
    this.#worker.terminate();
    this.#ended.resolve();
  }
}
