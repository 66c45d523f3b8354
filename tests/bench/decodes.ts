/**
 * What decoding images by sharp costs in process memory, with none of our code: it grows for some 28,000 small images, by 4 MB, and then no
 * more, though garbage is collected all the time. So a short run of anything that reads images grows.
 *
 *     deno run -A --v8-flags=--expose-gc tests/bench/decodes.ts [40000]
 */
import sharp from "npm:sharp@0.35.5";

const total = Number(Deno.args[0] ?? 40_000), { gc } = globalThis as { gc?: () => void };
sharp.cache(false), sharp.concurrency(1);
const png = await sharp({ create: { width: 16, height: 16, channels: 3, background: "red" } }).png().toBuffer();
const megabytes: number[] = [];
for (let i = 1; i <= total; i++) {
  await sharp(png).raw().toBuffer();
  if (i % 80 === 0) gc?.();
  if (i % Math.ceil(total / 10) === 0) megabytes.push(Math.round(Deno.memoryUsage().rss / 1e5) / 10);
}
console.log(JSON.stringify({ images: total, collected: gc !== undefined, megabytes }));
