/**
 * The page of settings, examples/README.md, made from their declarations. The gate compares it with the file.
 *
 *     deno task settings        writes the file anew
 */
import { pairRecipes, settings } from "../mod.ts";
import { common } from "../examples/pretrain_settings.ts";
import { writeFileAtomic } from "../src/io/atomic.ts";

/** Where the page is. */
export const SETTINGS_PAGE: URL = new URL("../examples/README.md", import.meta.url);

/** The page as the declarations make it. */
export function settingsPage(): string {
  const recipes = Object.entries(pairRecipes).map(([name, { title, fields }]) =>
    `### \`--recipe ${name}\`: ${title}\n\n${settings.settingsTable(fields as settings.Fields)}`
  );
  return `# Examples

- \`pretrain.ts\`: pre-training and retrieval fine-tuning on images and captions; its settings are below.
- \`own_model.ts\`: a model and a loss of one's own in the trainer.
- \`evaluate.ts\`: the metrics of VQA v2 and NLVR from files of results; \`--help\` lists its flags.

They import \`mod.ts\` only, so a copy works with the address of the library in its place.

## Settings of pretrain.ts

Flags win over \`--config FILE\` (TOML or JSON with the same names, without dashes in front), and the file wins over the defaults. Every
run writes the settings that it used as \`settings.json\` beside its checkpoints; \`--config RUN/settings.json\` repeats it. "paper" is
the value of GRIT-VLP's pre-training. This page is made from the declarations in \`pretrain_settings.ts\` and \`src/recipes\` by
\`deno task settings\`; the tests compare it with them.

${settings.settingsTable(common)}
## Settings of the recipes

${recipes.join("\n")}`;
}

if (import.meta.main) await writeFileAtomic(SETTINGS_PAGE.pathname, settingsPage());
