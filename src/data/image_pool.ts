/**
 * Workers that read images, so that decoding neither waits for the GPU nor makes it wait.
 *
 * @module
 */
import type {
  ImageRequest,
  ImageResult,
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

/** A number of Workers, each of which always serves the same images; none where there are no views of images. */
export class ImagePool {
  readonly #workers: PoolWorker[];

  constructor(views: readonly ImagePlan[], workers: number, cacheBytes: number) {
    const settings = { views, cacheBytes: Math.floor(cacheBytes / workers) };
    this.#workers = Array.from({ length: views.length ? workers : 0 }, () => new PoolWorker(settings));
  }

  /**
   * Every image in the order of the requests, or why there is none.
   *
   * @throws {Error} If a Worker stopped or the pool is closed; not for images that cannot be read.
   */
  async read(requests: readonly PoolRequest[]): Promise<ImageResult[]> {
    const places = this.#workers.map((): number[] => []);
    requests.forEach(({ imageId }, place) => places[imageId % places.length]!.push(place));
    const answers = await Promise.all(
      this.#workers.map((worker, w) => worker.read(places[w]!.map((place) => requests[place]!))),
    );
    const results: ImageResult[] = [];
    answers.forEach((answer, w) => answer.results.forEach((result, i) => results[places[w]![i]!] = result));
    return results;
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
