/**
 * `deno task values`: VALUES.md, what was once surprising, call by call: what it gave before, and what it gives, which is computed when
 * the page is made. A test compares the page, and looks for the tests that it names.
 */
import {
  add,
  attention,
  cast,
  clamp,
  compile,
  concat,
  crossEntropy,
  defaultDevice,
  type Device,
  erf,
  evaluate,
  exp,
  foldIn,
  full,
  grad,
  iota,
  item,
  layerNorm,
  log,
  max,
  mean,
  multiply,
  openDevice,
  randomKey,
  relu,
  reshape,
  setDefaultDevice,
  sigmoid,
  slice,
  softmax,
  Spec,
  sqrt,
  sum,
  tanh,
  type Task,
  Tensor,
  tensor,
  toDevice,
  toHost,
  train,
  where,
} from "../mod.ts";

/** One line: a call whose source is shown, what it gave before, and where it is tested: file and name of the test. */
interface Line {
  readonly call: () => unknown;
  readonly before: string;
  readonly test: readonly [file: string, name: string];
}

/** Lines of one kind, and what they have in common. */
interface Chapter {
  readonly title: string;
  readonly text: string;
  readonly lines: readonly Line[];
}

const MIB = 2 ** 20;

/** The most MiB that the device's memory grows by in `turns` turns. */
async function heldMiB(turns: number, turn: (i: number) => Promise<unknown>): Promise<number> {
  const device = await defaultDevice(), before = device.memory.bytes;
  let most = 0;
  for (let i = 0; i < turns; i++) {
    await turn(i);
    most = Math.max(most, device.memory.bytes - before);
  }
  return most / MIB;
}

/** What a call in JavaScript may pass, where types forbid it. */
const js = (value: unknown): never => value as never;

/** A task of one weight whose loss becomes NaN in the mini-batch number 3, counted from 0. */
function training(loss: (h: Tensor, target: Tensor) => Tensor): Promise<unknown> {
  let next = 0;
  const task: Task<{ w: Spec }, Record<string, never>, { x: Tensor; target: Tensor }> = {
    spec: { w: new Spec([1], { constant: 1 }) },
    input: { x: { shape: [2], dtype: "f32" }, target: { shape: [2], dtype: "f32" } },
    loss: ({ w }, _, { x, target }) => ({ loss: loss(multiply(x, w), target) }),
    data: {
      next() {
        const number = next++, wrong = number === 3;
        const input = { x: tensor([1, wrong ? -1 : 2]), target: tensor([1, wrong ? NaN : 1]) };
        return Promise.resolve({ input, examples: 2, label: `mini-batch ${number}`, epoch: 0 });
      },
    },
  };
  return train(task, { steps: 6, learningRate: () => 1e-3, progress: false });
}

/** Attention of one head of width 1 over keys that are all masked by `value`; the values are 1, 2, and so on. */
function masked(value: number, keys: number, maskedRows: "mean" | "zero" = "mean"): (v: Tensor) => Tensor {
  const q = tensor([0.5], [1, 1, 1]), k = tensor(Array.from({ length: keys }, (_, i) => Math.sin(i)), [1, keys, 1]);
  const mask = tensor(Array(keys).fill(value), [1, 1, 1, keys]);
  return (v) => attention(q, k, v, { heads: 1, mask, maskedRows });
}
const counting = (keys: number): Tensor => tensor(Array.from({ length: keys }, (_, i) => i + 1), [1, keys, 1]);
/** The sum over the keys of the gradient by the values, which is 1: the probabilities. */
const sumOfGradient = (value: number, keys: number): Tensor =>
  sum(grad((v: Tensor) => sum(masked(value, keys)(v)))(counting(keys)));

const half = (values: readonly number[], shape: readonly number[]): Tensor => tensor(values, shape, "f16");
const six = tensor([1, 2, 3, 4, 5, 6]), two = tensor([1, 2]);

/** The chapters; `other` is a second device. */
function chapters(other: Device): readonly Chapter[] {
  const nan = tensor([NaN]), NAN = ["tests/ops/nan_test.ts", "() of NaN is NaN, whatever its sign and bits"] as const;
  const REDUCTIONS = "tests/ops/nan_reductions_test.ts", DEVICES = "tests/program/devices_test.ts";
  const TENSORS = "tests/program/tensor_test.ts", ELEMENTS = "tests/ops/elementwise_test.ts";
  const OPTIONS = ["tests/program/options_test.ts", "what refuses options says what to write"] as const;
  const ATTENTION = [
    "tests/ops/attention_test.ts",
    "attention() of rows that a huge or infinite mask covers is uniform, and so are its gradients",
  ] as const;
  const DEAD = [
    "tests/program/dead_results_test.ts",
    "memory of results that nobody refers to comes back, of one size and of many",
  ] as const;
  const NUMBERS = "numbers become f16 by value; a Uint16Array holds bits";
  const REFUSED = "axes and shapes that do not fit are refused in a sentence of their own";
  const zero = { f: (x: Tensor): Tensor => where(tensor([0]), sqrt(x), 0) };
  const remedy = (x: Tensor): Tensor => where(tensor([0]), sqrt(where(tensor([0]), x, 1)), 0);
  return [
    {
      title: "Memory of dead results",
      text:
        "It comes back by itself, in turns of the event loop when pressure grows; free memory is kept by classes of sizes " +
        "(eight from each power of two to the next) up to 256 MiB. `dispose()` and `using` are an option, never a duty.",
      lines: [
        {
          call: async () => await heldMiB(250, () => evaluate(add(full([MIB], 1), 1))) < 700,
          before: "400 awaited results of 4 MiB held 1.6 GiB",
          test: DEAD,
        },
        {
          call: async () => await heldMiB(200, (i) => evaluate(multiply(full([MIB + 8192 * i], 1), 2))) < 700,
          before: "results of 600 sizes held 3.8 GiB",
          test: DEAD,
        },
        {
          call: async () =>
            await heldMiB(40, async () => {
              using y = await evaluate(add(full([MIB], 1), 1));
              return y.size;
            }) < 9,
          before: "no way to ask for it",
          test: [
            "tests/program/dispose_test.ts",
            "a disposed tensor gives its memory to the next one of its size, at once",
          ],
        },
      ],
    },
    {
      title: "Host arrays",
      text: "Tensors are immutable: `tensor()` and `toHost()` copy. With `copy: false` a tensor takes an array over.",
      lines: [
        {
          call: async () => {
            const total = compile((x: Tensor) => sum(x)), buffer = new Float32Array(4), totals: Tensor[] = [];
            for (const value of [1, 2, 3]) totals.push(await total(tensor(buffer.fill(value))));
            return concat(totals.map((t) => reshape(t, [1])), 0);
          },
          before: "12, 12, 12",
          test: [TENSORS, "a tensor keeps the values that its typed array had"],
        },
        {
          call: async () => {
            const t = tensor([1, 2]);
            (await toHost(t))[0] = 9;
            return t;
          },
          before: "9, 2",
          test: [TENSORS, "writing to what toHost() gave does not change the tensor"],
        },
        {
          call: () => {
            const array = Float32Array.of(1, 2), t = tensor(array, [2], "f32", { copy: false });
            return t.node.host === array;
          },
          before: "shared, whatever was wanted",
          test: [TENSORS, "with copy: false a tensor owns its typed array"],
        },
      ],
    },
    {
      title: "Devices",
      text: "`other` is a second device, beside the default one.",
      lines: [
        {
          call: async () => {
            const t = await evaluate(add(two, 1)), u = await toDevice(tensor([5, 6]), other);
            return (await toHost([t, u])).flatMap((values) => [...values]);
          },
          before: "zeros for one of them",
          test: [DEVICES, "values of several devices are read together, each from its own"],
        },
        {
          call: async () => {
            const t = await evaluate(add(two, 1)), u = await compile(() => full([2], 1), { device: other })();
            return add(t, u);
          },
          before: "a kernel failed with a label",
          test: [DEVICES, "what is computed outside of compile() is computed where its inputs are"],
        },
        {
          call: async () => {
            const f = compile((x: Tensor) => add(x, 1)), before = await defaultDevice();
            await f(two);
            setDefaultDevice(other);
            const y = await f(two);
            setDefaultDevice(before);
            return y.node.storage[0]!.device === other;
          },
          before: "false",
          test: [DEVICES, "a compiled function runs on what is the default device when it is called"],
        },
      ],
    },
    {
      title: "NaN and infinities",
      text:
        "WGSL may assume that there are none, so that functions look at the bits where a value must survive: losses, reductions, " +
        "norms and softmax always. Comparisons with NaN, `sign`, and gradients at NaN of element-wise ops promise nothing.",
      lines: [
        {
          call: () => max(nan),
          before: "an ordinary number",
          test: [REDUCTIONS, "sum and max of a row with NaN are NaN"],
        },
        { call: () => relu(nan), before: "an ordinary number", test: NAN },
        { call: () => clamp(nan, -1, 1), before: "an ordinary number", test: NAN },
        { call: () => tanh(nan), before: "an ordinary number", test: NAN },
        { call: () => exp(nan), before: "an ordinary number", test: NAN },
        { call: () => erf(nan), before: "an ordinary number", test: NAN },
        { call: () => sigmoid(nan), before: "an ordinary number", test: NAN },
        {
          call: () => softmax(tensor([NaN, 1, 2])),
          before: "ordinary numbers",
          test: [REDUCTIONS, "softmax, logSoftmax and logSumExp of a row with NaN are NaN"],
        },
        {
          call: () => layerNorm(tensor([NaN, 1]), tensor([1, 1]), tensor([0, 0]), 1e-6),
          before: "ordinary numbers",
          test: [REDUCTIONS, "mean() and layerNorm() of a row with NaN are NaN"],
        },
        {
          call: () => cast(cast(tensor([NaN, Infinity]), "f16"), "f32"),
          before: "an ordinary number for NaN",
          test: ["tests/ops/nan_test.ts", "a conversion to f16 keeps NaN, and limits the infinities"],
        },
        {
          call: () => crossEntropy(tensor([[NaN, 1, 2]]), tensor(Int32Array.of(1)))[0],
          before: "1.3133",
          test: [REDUCTIONS, "crossEntropy([[NaN, 1, 2]]) is NaN with its gradient"],
        },
        {
          call: () => grad((x: Tensor) => sum(crossEntropy(x, tensor(Int32Array.of(1)))[0]))(tensor([[NaN, 1, 2]])),
          before: "finite numbers",
          test: [REDUCTIONS, "crossEntropy([[NaN, 1, 2]]) is NaN with its gradient"],
        },
        {
          call: () => max(tensor([-Infinity])),
          before: "-3.4e38",
          test: [REDUCTIONS, "max of -Infinity alone is -Infinity, of numbers below -3.4e38 the largest"],
        },
        {
          call: () => training((h) => mean(relu(log(h)))),
          before: "ran to its end with loss 0",
          test: ["tests/train/nan_test.ts", "train() stops at NaN that reaches the loss only through ${name}"],
        },
        {
          call: () => training((h, target) => mean(relu(add(h, target)))),
          before: "ran to its end",
          test: ["tests/train/nan_test.ts", "train() stops at NaN that reaches the loss only through ${name}"],
        },
      ],
    },
    {
      title: "Attention whose keys are all masked",
      text:
        "`masked(m, n)` is attention of one query over n keys that are all masked by m; `counting(n)` are the values 1 to n, and " +
        "`sumOfGradient` is the sum of the gradient by the values, 1 as the sum of the probabilities.",
      lines: [
        { call: () => masked(-1e30, 3)(counting(3)), before: "wrong (elsewhere 2.75 for 2)", test: ATTENTION },
        { call: () => masked(-1e9, 5)(counting(5)), before: "wrong (elsewhere 3.75 for 3)", test: ATTENTION },
        { call: () => masked(-Infinity, 3)(counting(3)), before: "wrong (elsewhere 2.75 for 2)", test: ATTENTION },
        { call: () => sumOfGradient(-1e30, 2), before: "off by 0.86", test: ATTENTION },
        { call: () => sumOfGradient(-1e9, 5), before: "off by 6.8", test: ATTENTION },
        { call: () => sumOfGradient(-Infinity, 40), before: "off by 110", test: ATTENTION },
        {
          call: () => masked(-Infinity, 3, "zero")(counting(3)),
          before: "no such option",
          test: [
            "tests/ops/attention_variants_test.ts",
            "attention() gives 0 or the mean in rows whose keys are all masked, as asked",
          ],
        },
      ],
    },
    {
      title: "Numbers, types and gradients",
      text: "`half` makes a tensor of f16.",
      lines: [
        {
          call: () => multiply(half([2], [1]), tensor([1, 2, 3, 4])),
          before: "did not compile",
          test: ["tests/ops/nan_test.ts", "16-bit floats are broadcast in kernels of vectors"],
        },
        {
          call: () => sum(multiply(half([1, 2, 3, 4], [4, 1]), full([4, 4], 1)), { axes: [1] }),
          before: "did not compile",
          test: ["tests/ops/nan_test.ts", "16-bit floats are broadcast in kernels of vectors"],
        },
        {
          call: () => cast(tensor([1.5], [1], "f16"), "f32"),
          before: "the number was read as bits",
          test: [TENSORS, NUMBERS],
        },
        {
          call: () => tensor([[1, 2], [3, 4]]),
          before: "NaN",
          test: [TENSORS, "nested lists give their shape, in row-major order"],
        },
        { call: () => iota([2, 3], -1), before: "zeros", test: [ELEMENTS, "iota() counts along its axis"] },
        {
          call: () => grad((x: Tensor) => sum(where(tensor([0, 3]), x, 7)))(two),
          before: "0, 3",
          test: [ELEMENTS, "where() gives the gradient to what it took, whatever number its condition is"],
        },
        {
          call: () => grad((x: Tensor) => sum(relu(x)))(tensor([0])),
          before: "1",
          test: [ELEMENTS, "relu() and abs() have gradient 0 at 0 and at negative zero"],
        },
        {
          call: () => tensor([2 ** 32], [1], "u32"),
          before: "0",
          test: [TENSORS, "integers are taken towards zero and refused beyond their type"],
        },
        {
          call: () => foldIn(randomKey(tensor(Uint32Array.of(1, 2))), -1),
          before: "the root key",
          test: [TENSORS, "a folded key is never the one it was folded from, and what cannot be folded in is refused"],
        },
        {
          call: async () => {
            const f = compile((tree: { a?: { b: Tensor } }) =>
              add(tree.a ? tree.a.b : js(tree)["a.b"], tree.a ? 2 : 1)
            );
            return concat([await f({ a: { b: two } }), await f(js({ "a.b": two }))], 0);
          },
          before: "one program for both",
          test: [TENSORS, "a program belongs to the structure of its arguments, names with dots included"],
        },
        {
          call: async () => Math.abs(await item(tanh(tensor([1e-6]))) / Math.tanh(1e-6) - 1) < 1e-6,
          before: "off by 1 %",
          test: [ELEMENTS, "tanh() is exact to a relative error of 1e-6 from 1e-8 to 20"],
        },
        {
          call: () => grad((x: Tensor) => sum(zero.f(x)))(tensor([0])),
          before: "NaN, as in JAX: documented at `where`, with the remedy of the next line",
          test: ["tests/ops/elementwise_test.ts", "where() of a root has the gradient that its documentation says"],
        },
        {
          call: () => grad((x: Tensor) => sum(remedy(x)))(tensor([0])),
          before: "as now, but undocumented",
          test: ["tests/ops/elementwise_test.ts", "where() of a root has the gradient that its documentation says"],
        },
      ],
    },
    {
      title: "Sentences",
      text:
        "Errors say what must be and what is. In plain JavaScript a number may stand in the place of options: `js` hides it from types.",
      lines: [
        {
          call: async () => {
            let traced = two;
            await compile((x: Tensor) => add(traced = x, 1))(two);
            return traced;
          },
          before: "'buffer' of 'GPUBufferBinding' can not be converted",
          test: [
            "tests/program/refusals_test.ts",
            "a traced tensor that is used outside of its function is a sentence, however it is used",
          ],
        },
        { call: () => slice(six, 1, 0, 1), before: "spoke of f16", test: [TENSORS, REFUSED] },
        { call: () => concat([six, six], 1.5), before: "showed NaN", test: [TENSORS, REFUSED] },
        { call: () => reshape(six, [-1, 4]), before: "no sentence", test: [TENSORS, REFUSED] },
        {
          call: () => compile((x: Tensor) => add(x, 1), { donate: [3] })(six),
          before: "no sentence",
          test: [TENSORS, REFUSED],
        },
        { call: () => sum(two, js(1)), before: "3: the sum of all, whatever the axis", test: OPTIONS },
        { call: () => mean(two, js([0])), before: "1.5: the mean of all", test: OPTIONS },
        { call: () => softmax(two, js(0)), before: "along the last axis", test: OPTIONS },
        { call: () => sum(two, js({ axis: 0 })), before: "3: the sum of all", test: OPTIONS },
        { call: () => sum(two, js({ axes: 0 })), before: "axes?.map is not a function", test: OPTIONS },
        { call: () => grad((x: Tensor) => sum(x), js(1)), before: "the gradient of argument 0", test: OPTIONS },
      ],
    },
  ];
}

/** A call as it stands in the source, in one line, without what surrounds it. */
function sourceOf(call: () => unknown): string {
  const code = String(call).replace(/^(async )?\(\)\s*=>\s*/, "").replace(/\s+/g, " ");
  return code.replace(/([[(]) /g, "$1").replace(/ ([\])])/g, "$1").replace(/^\{ | \}$/g, "").replaceAll("|", "\\|");
}

/** What a call gives, rounded to 5 digits, or the sentence that refuses it. */
async function resultOf(call: () => unknown): Promise<string> {
  try {
    const result = await call(), values = result instanceof Tensor ? [...await toHost(result)] : result;
    const numbers = Array.isArray(values)
      ? values.map((value) => String(Number(Number(value).toPrecision(5))))
      : undefined;
    const shape = result instanceof Tensor && result.shape.length > 1 ? ` of shape [${result.shape}]` : "";
    return numbers ? numbers.join(", ") + shape : String(result);
  } catch (error) {
    return (error as Error).message.replaceAll("|", "\\|").replaceAll("\n", " ");
  }
}

/** The tests that the page names, by file. */
export const namedTests: readonly (readonly [file: string, name: string])[] = chapters(undefined as never)
  .flatMap(({ lines }) => lines.map(({ test }) => test));

/** The page. */
export async function valuesPage(): Promise<string> {
  const before = await defaultDevice(),
    other = await openDevice(),
    parts = [
      "# Values",
      "What a call gives, where it once surprised; `before` is what was reported. `deno task values` writes this page: `now` is computed, " +
      "the calls are the source that computed it, and a test compares the page with what it would be. A call that is refused shows its sentence.",
    ];
  try {
    setDefaultDevice(before);
    for (const { title, text, lines } of chapters(other)) {
      const rows: string[] = [];
      for (const { call, before, test: [file, name] } of lines) {
        rows.push(
          `| \`${sourceOf(call)}\` | ${before} | ${await resultOf(call)} | ${file.replace("tests/", "")}: ${name} |`,
        );
      }
      const table = ["| call | before | now | test |", "|---|---|---|---|", ...rows].join("\n");
      parts.push(`## ${title}`, text, table);
    }
  } finally {
    setDefaultDevice(before);
    other.close();
  }
  return parts.join("\n\n") + "\n";
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("../VALUES.md", import.meta.url), await valuesPage());
  Deno.exit(0);
}
