import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { holderOf, lockFolder } from "../../src/io/lock.ts";
import { onFailingDisk } from "../testing/failing_disk.ts";
import { testInFolder } from "../testing/folders.ts";

testInFolder("a folder is taken once, by this process too, and free afterwards without a trace", async (dir) => {
  assertEquals(await holderOf(`${dir}/none`), undefined);
  const lock = await lockFolder(dir);
  assertMatch(await holderOf(dir) ?? "", new RegExp(`^process ${Deno.pid} \\(since 20..-.*Z\\)$`));
  await assertRejects(
    () => lockFolder(dir),
    Error,
    `Cannot start a run in "${dir}": process ${Deno.pid} (since `,
  );
  await lock.free();
  assertEquals(Array.from(Deno.readDirSync(dir)), []);
  assertEquals(await holderOf(dir), undefined);
  await (await lockFolder(dir)).free();
});

testInFolder("what a dead process has left is taken over, a living one is named", async (dir) => {
  const child = new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-check", "-A", new URL("lock_child.ts", import.meta.url).pathname, dir],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader(), { value } = await reader.read();
  assertEquals(new TextDecoder().decode(value), `${child.pid}\n`);
  await assertRejects(() => lockFolder(dir), Error, `process ${child.pid} (since `);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  assertEquals(Array.from(Deno.readDirSync(dir), ({ name }) => name), ["run.lock"]);
  assertEquals(await holderOf(dir), undefined);
  const lock = await lockFolder(dir);
  assertMatch(await holderOf(dir) ?? "", new RegExp(`^process ${Deno.pid} `));
  await lock.free();
});

testInFolder("of many that want a folder at once each has it alone", async (dir) => {
  let inside = 0, taken = 0;
  await Promise.all(Array.from({ length: 20 }, async () => {
    for (let tries = 0; tries < 40; tries++) {
      const lock = await lockFolder(dir).catch(() => undefined);
      if (!lock) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      assertEquals(++inside, 1);
      taken++;
      await new Promise((resolve) => setTimeout(resolve));
      inside--;
      await lock.free();
    }
  }));
  assertEquals(taken > 20, true);
});

testInFolder("a lock that others have put in place of one's own is not removed", async (dir) => {
  const lock = await lockFolder(dir);
  await Deno.remove(`${dir}/run.lock`);
  const other = await lockFolder(dir);
  await lock.free();
  assertMatch(await holderOf(dir) ?? "", /^process /);
  await other.free();
});

testInFolder("a folder that cannot be written into is a sentence", async (dir) => {
  const { calls } = await onFailingDisk((path) => path.endsWith("run.lock"), () => "EROFS", async () => {
    await assertRejects(() => lockFolder(dir), Error, `Cannot write "${dir}/run.lock": the file system is read-only`);
  });
  assertEquals(calls.length, 1);
});
