import { assertEquals } from "@std/assert";
import { formatHelp, settingsTable } from "../../src/settings/help.ts";
import { example } from "./example.ts";

Deno.test("formatHelp() explains every flag below its heading", () => {
  assertEquals(
    formatHelp(example),
    `  --out TEXT
      folder of the run (default: runs/x)
  --init TEXT
      start from a checkpoint (default: none)
  --overwrite
      delete an earlier run (default: false)

Data:
  --data TEXT,...
      caption files (default: none)
  --text-length N
      tokens per caption, [CLS] included (default: 25; paper: 25)
  --resolution N
      side of the images (default: none; paper: 256)
  --augment full|none
      full | flip (default: full)
  --workers N
      threads that decode images (default: 1)

Objectives:
  --mask N
      share of the tokens that MLM masks (default: 0.5; paper: 0.5)
  --offset N
      any number (default: 0)
  --lr N
      largest learning rate (default: 0.001)
  --dropout N
      of the text encoder (default: none)
  --negatives top1|random
      how ITM's negatives are chosen (default: none)
  --[no-]detach-keys
      no gradient through ITC's key side (default: true)
  --remat
      recompute activations (default: false)`,
  );
});

Deno.test("settingsTable() is Markdown with a table below each heading, first those without", () => {
  const { data, augment, textLength, out } = example;
  assertEquals(
    settingsTable({ data, augment, textLength, out }),
    `| flag | default | paper | meaning |
|---|---|---|---|
| \`--out TEXT\` | runs/x |  | folder of the run |

**Data**

| flag | default | paper | meaning |
|---|---|---|---|
| \`--data TEXT,...\` | none |  | caption files |
| \`--augment full\\|none\` | full |  | full \\| flip |
| \`--text-length N\` | 25 | 25 | tokens per caption, [CLS] included |
`,
  );
});
