import { assert, assertEquals, assertMatch } from "@std/assert";
import { inProcess, spawn, withScenes } from "./pretrain.ts";

/** Starts a run, sends it a signal after its third step, and returns how it ended and what it said. */
async function stopped(
  args: readonly string[],
  signal: Deno.Signal,
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(args), out = new Response(child.stdout).text();
  let err = "", sent = false;
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    err += text;
    if (sent || !/ step 3\//.test(err)) continue;
    sent = true;
    child.kill(signal);
  }
  const { code } = await child.status;
  return { code, out: await out, err };
}

Deno.test({
  name: "Ctrl-C and SIGTERM end a run after its step, with a checkpoint that goes on to the same bytes",
  ignore: Deno.build.os === "windows", // it cannot send them
  async fn() {
    await withScenes(async (dir, flags) => {
      const run = [...flags.map((flag, i) => flags[i - 1] === "--log-every" ? "1" : flag), "--steps", "60"];
      for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
        const part = `${dir}/${signal}`, { code, out, err } = await stopped([...run, "--out", part], signal);
        assertEquals([code, out], [status, ""], err);
        const [, at] = /^stopped at step (\d+)\/60, /m.exec(err) ?? [];
        assert(Number(at) >= 3 && Number(at) < 60, err);
        assertMatch(err, new RegExp(`--config ${part}/settings.json --out ${part} --resume`));
      }
      const { summary } = await inProcess(...run, "--out", `${dir}/whole`), part = `${dir}/SIGTERM`;
      const resumed = await inProcess("--config", `${part}/settings.json`, "--out", part, "--resume");
      assertEquals(resumed.summary.sha256, summary.sha256);
    });
  },
});
