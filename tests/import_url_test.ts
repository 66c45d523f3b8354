import { assert, assertEquals } from "@std/assert";

const types: Record<string, string> = { ts: "application/typescript", wgsl: "text/plain", json: "application/json" };
const root = new URL("../", import.meta.url);

/** Serves this repository and `program` as /program.ts; only the library and its kernels can be had. */
function serve(program: (origin: string) => string): Deno.HttpServer<Deno.NetAddr> & { requested: Set<string> } {
  const requested = new Set<string>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, origin } = new URL(request.url), type = types[pathname.split(".").at(-1)!]!;
    requested.add(pathname);
    if (pathname === "/program.ts") return new Response(program(origin), { headers: { "content-type": type } });
    if (!/^\/(mod\.ts|src\/.*\.ts|kernels\/.*\.wgsl)$/.test(pathname)) return new Response(null, { status: 404 });
    return new Response(await Deno.readFile(new URL("." + pathname, root)), { headers: { "content-type": type } });
  });
  return Object.assign(server, { requested });
}

const trainer = (origin: string): string =>
  `import { add, compile, item, matmul, mean, multiply, square, subtract, tanh, tensor, valueAndGrad, type Tensor } from "${origin}/mod.ts";

const loss = (w: Tensor, x: Tensor, y: Tensor): Tensor => mean(square(subtract(tanh(matmul(x, w)), y)));
const step = compile((w: Tensor, x: Tensor, y: Tensor) => {
  const [value, gradient] = valueAndGrad(loss)(w, x, y);
  return [subtract(w, multiply(gradient, 0.5)), value];
}, { donate: [0] });

const x = tensor([1, 0, 0, 1, 1, 1], [3, 2]), y = tensor([0.5, -0.5, 0], [3, 1]);
let w = tensor([0, 0], [2, 1]);
for (let i = 0; i < 2; i++) {
  const [next, value] = await step(w, x, y);
  w = next!;
  console.log((await item(add(value!, 0))).toFixed(4));
}
`;

Deno.test("mod.ts works when it is imported by URL without a configuration, kernels included", async () => {
  const server = serve(trainer);
  const host = `127.0.0.1:${server.addr.port}`;
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-config", "--no-lock", "--check", `--allow-import=${host}`, `http://${host}/program.ts`],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  await server.shutdown();
  assert(success, new TextDecoder().decode(stderr));
  // w = 0: loss (0.25 + 0.25 + 0) / 3; then w = [1, -1] / 6: both errors are 0.5 - tanh(1 / 6).
  const second = 2 / 3 * (0.5 - Math.tanh(1 / 6)) ** 2;
  assertEquals(new TextDecoder().decode(stdout), `0.1667\n${second.toFixed(4)}\n`);
  assert([...server.requested].some((path) => path.endsWith(".wgsl")));
});
