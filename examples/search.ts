/**
 * Search in a folder of photos by text, by a photo, or by both, with a model that pretrain.ts or finetune.ts has trained.
 *
 *     deno run -A examples/search.ts index FOLDER --checkpoint runs/pretrain --index photos.index
 *     deno run -A examples/search.ts query "two dogs" --index photos.index --page dogs.html --words
 *     deno run -A examples/search.ts query --image like_this.jpg --index photos.index
 *     deno run -A examples/search.ts query --help
 *
 * `index` again takes in what is new or changed and forgets what is gone. `query` prints a JSON line for each result, the best first.
 */
import {
  type Matcher,
  PairEncoder,
  ProgressLine,
  settings,
  setUpAdapter,
  stopOnSignals,
  writeFileAtomic,
} from "../mod.ts";
import { type OpenedRun, openRun, presetOfRun, runFields, type RunSettings } from "./_open_run.ts";
import { openAdapter, runCommand, say } from "./_run.ts";
import { deviceFields, help } from "./_settings.ts";
import { compareFolders, photosOf } from "./search/folder.ts";
import { resultsPage } from "./search/page.ts";
import {
  featureAt,
  fingerprintOf,
  openIndex,
  openIndexOf,
  type Photo,
  type PhotoIndex,
  saveIndex,
} from "./search/photo_index.ts";
import { type Found, rankPhotos } from "./search/rank.ts";

const { count, fields, group, none, text, toggle } = settings;

const shared = {
  index: text("photos.index", "file of the photos' features"),
  ...group("Model", runFields),
  ...group("Run", { batch: count(32, "photos that are taken at a time"), ...deviceFields, help }),
};

const indexFields = fields(shared);

const queryFields = fields({
  image: text(none, "photo to find the like of, alone or together with the text"),
  rerank: count(
    none,
    "photos that the matching head re-ranks by the text; without it 32 where there is a head, 0: none",
    { min: 0 },
  ),
  top: count(20, "results"),
  page: text(none, "HTML file that gets the results with their photos"),
  words: toggle(false, "maps on the page of where each word is in each photo, by the matching head's attention"),
  ...shared,
});

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args, operand = rest[0]?.startsWith("--") ? undefined : rest.shift();
  if (command === "index") return await index(operand, rest);
  if (command === "query") return await query(operand, rest);
  if (command === "--help") {
    return console.log(
      `${INDEX}\n\n${settings.formatHelp(indexFields)}\n${QUERY}\n\n${settings.formatHelp(queryFields)}`,
    );
  }
  const found = command === undefined ? "nothing is given" : `it is "${command}"`;
  throw new settings.UsageError(`The first argument must be one of index, query: ${found}`);
}

const INDEX = "index FOLDER: makes the features of a folder's photos, or brings them up to date.";
const QUERY = "query TEXT: finds photos by a text, by --image, or by both.";

async function index(given: string | undefined, args: readonly string[]): Promise<void> {
  const path = settings.peek(indexFields, "index", { args }), old = await openIndex(path);
  const options = settings.readSettings(indexFields, { args, preset: await presetOf(args, old) });
  if (options.help) return console.log(`${INDEX}\n\n${settings.formatHelp(indexFields)}`);
  if (given === undefined) throw new settings.UsageError("The folder of the photos is missing: index FOLDER");
  const folder = await realFolder(given);
  if (old && old.folder !== folder) {
    throw new Error(
      `Cannot add to "${path}": it must be of the folder "${folder}": it is of "${old.folder}"; choose another --index`,
    );
  }
  await checkFolderOf(path);
  await setUpAdapter({ tuning: !options.noTuning });
  await openAdapter(options);
  const run = await openRun(options), fingerprint = await modelOf(run);
  if (old && old.fingerprint !== fingerprint) {
    throw new Error(`Cannot add to "${path}": ${otherModel(run)}; delete it or choose another --index`);
  }

  const began = performance.now(), found = await photosOf(folder), states = compareFolders(old?.photos ?? [], found);
  using stop = stopOnSignals();
  const { features, failed } = await featuresOf(
    run,
    { folder, photos: found, states, old },
    options.batch,
    stop.signal,
  );
  const own = [...found.keys()].filter((i) => features[i]), photos = own.map((i) => found[i]!);
  const width = run.config.embedding, all = new Float32Array(own.length * width);
  own.forEach((i, row) => all.set(features[i]!, row * width));
  await saveIndex(path, { folder, fingerprint, run: await remembered(options), photos, features: all, width });
  if (stop.signal.aborted) {
    say(`stopped: ${own.length} photos are in "${path}"; the same command goes on`);
    Deno.exitCode = stop.status!;
  }
  const seconds = Math.round(performance.now() - began) / 1000, present = new Set(found.map(({ path }) => path));
  const made = (state: "added" | "changed"): number => own.filter((i) => states[i] === state).length;
  const dropped = old?.photos.filter(({ path }) => !present.has(path)).length ?? 0;
  const changes = { added: made("added"), changed: made("changed"), dropped };
  console.log(JSON.stringify({ index: path, photos: own.length, ...changes, failed, seconds }));
}

/** Features of all photos: those of the old index where it has them. What cannot be read is said and has none. */
async function featuresOf(
  run: OpenedRun,
  { folder, photos, states, old }: {
    readonly folder: string;
    readonly photos: readonly Photo[];
    readonly states: ReturnType<typeof compareFolders>;
    readonly old: PhotoIndex | undefined;
  },
  batch: number,
  signal: AbortSignal,
) {
  const features = states.map((at) => typeof at === "number" ? featureAt(old!, at) : undefined);
  const missing = [...photos.keys()].filter((i) => !features[i]), failed: { path: string; reason: string }[] = [];
  const encoder = encoderOf(run, batch), line = new ProgressLine();
  for (let from = 0; from < missing.length && !signal.aborted; from += batch) {
    const at = missing.slice(from, from + batch);
    const made = await encoder.images(at.map((i) => `${folder}/${photos[i]!.path}`));
    at.forEach((i, n) => features[i] = made.features[n]);
    failed.push(...made.failed.map(({ file, reason }) => ({ path: file.slice(folder.length + 1), reason })));
    line.show(`photos ${from + at.length}/${missing.length}`);
  }
  line.end();
  encoder.destroy();
  for (const { path, reason } of failed) say(`left out: "${path}" ${reason}`);
  return { features, failed };
}

async function query(asked: string | undefined, args: readonly string[]): Promise<void> {
  if (settings.peek(queryFields, "help", { args })) {
    return console.log(`${QUERY}\n\n${settings.formatHelp(queryFields)}`);
  }
  const path = settings.peek(queryFields, "index", { args }), photos = await openIndexOf(path);
  const options = settings.readSettings(queryFields, { args, preset: await presetOf(args, photos) });
  const { image, words, page, top } = options;
  if (!asked?.trim() && !image) throw new settings.UsageError("Nothing is asked for: give a text, --image, or both");
  if (words && !page) throw new settings.UsageError("--words are painted on the page: give --page");
  if (page) await checkFolderOf(page);
  await setUpAdapter({ tuning: !options.noTuning });
  await openAdapter(options);
  const run = await openRun(options);
  if (photos.fingerprint !== await modelOf(run)) {
    throw new Error(
      `Cannot search in "${path}": ${otherModel(run)}; delete it and make it again, or give that --checkpoint`,
    );
  }
  const text = asked?.trim() || undefined, canMatch = text !== undefined && !!run.model.match;
  if (!canMatch && (words || options.rerank)) {
    throw new settings.UsageError(
      `--${words ? "words" : "rerank"} asks the matching head about a text: ${
        text === undefined ? "there is no text" : "the model has no such head"
      }`,
    );
  }
  const encoder = encoderOf(run, options.batch), rerank = canMatch ? options.rerank ?? 32 : 0;
  const found = await rankPhotos(encoder, photos, { text, image, rerank, top });
  if (page) {
    await writeFileAtomic(
      page,
      await resultsPage(page, found, { folder: photos.folder, text, image, run, encoder, words }),
    );
  }
  encoder.destroy();
  for (const { photo, ...result } of found) console.log(JSON.stringify(lineOf(photo.path, result)));
}

function lineOf(path: string, { rank, cosine, match }: Omit<Found, "photo">) {
  const round = (x: number): number => Math.round(x * 1e4) / 1e4;
  return { rank, path, cosine: round(cosine), ...(match === undefined ? {} : { match: round(match) }) };
}

/** What is known of the model: by its run, if flags name it, else by the index. */
async function presetOf(args: readonly string[], index: PhotoIndex | undefined): Promise<Partial<RunSettings>> {
  const given = settings.peek(indexFields, "checkpoint", { args });
  return given === undefined ? index?.run ?? {} : await presetOfRun(given);
}

/** What opens the model again, wherever the command is called. */
async function remembered(options: RunSettings): Promise<Record<string, unknown>> {
  const own = Object.fromEntries(Object.keys(runFields).map((key) => [key, options[key as keyof RunSettings]]));
  const [checkpoint, tokenizer] = await Promise.all(
    [options.checkpoint!, options.tokenizer!].map((path) => Deno.realPath(path)),
  );
  return { ...own, checkpoint, tokenizer };
}

async function modelOf({ file, config }: OpenedRun): Promise<string> {
  return await fingerprintOf([file.sha256, config.vision.resolution]);
}

function otherModel({ file, config }: OpenedRun): string {
  return `its features must be of the model "${file.path}" at ${config.vision.resolution} pixels: they are of another checkpoint or resolution`;
}

function encoderOf({ params, model, config, tokenizer, textLength }: OpenedRun, batch: number): PairEncoder<Matcher> {
  return new PairEncoder(params, model, {
    tokenizer,
    maxLength: textLength,
    resolution: config.vision.resolution,
    batch,
  });
}

async function realFolder(path: string): Promise<string> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (!info?.isDirectory) {
    throw new settings.UsageError(`"${path}" must be a folder: it is ${info ? "a file" : "not there"}`);
  }
  return await Deno.realPath(path);
}

/** A folder that is not there is better known before the work than after it. */
async function checkFolderOf(path: string): Promise<void> {
  const info = await Deno.stat(path.replace(/[^/\\]*$/, "") || ".").catch(() => undefined);
  if (!info?.isDirectory) throw new settings.UsageError(`Cannot write "${path}": there is no such folder`);
}

if (import.meta.main) await runCommand(main);
