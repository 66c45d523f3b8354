/** Takes the lock of a folder, says so, and holds it until it is killed. */
import { lockFolder } from "../../src/io/lock.ts";

await lockFolder(Deno.args[0]!);
console.log(Deno.pid);
setInterval(() => {}, 1000);
