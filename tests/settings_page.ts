/**
 * The page of settings, examples/README.md, made from their declarations. The gate compares it with the file.
 *
 *     deno task settings        writes the file anew
 */
import { pairRecipes, settings, streamRecipes } from "../mod.ts";
import { tuningFields } from "../examples/finetune_settings.ts";
import { common } from "../examples/pretrain_settings.ts";
import { tasks } from "../examples/tasks/mod.ts";
import { writeFileAtomic } from "../src/io/atomic.ts";

/** Where the page is. */
export const SETTINGS_PAGE: URL = new URL("../examples/README.md", import.meta.url);

/** The page as the declarations make it. */
export function settingsPage(): string {
  const recipes = Object.entries({ ...pairRecipes, ...streamRecipes }).map(([name, { title, fields }]) =>
    `### \`--recipe ${name}\`: ${title}\n\n${settings.settingsTable(fields as settings.Fields)}`
  );
  return `# Examples

- \`pretrain.ts\`: pre-training and retrieval fine-tuning on images and captions; its settings are below.
- \`finetune.ts\`: fine-tuning for retrieval, VQA, NLVR2, visual entailment and grounding; its settings are below too.
- \`own_model.ts\`: a model and a loss of one's own in the trainer.
- \`evaluate.ts\`: a checkpoint on a split of one of these tasks, and the metrics of VQA v2 and NLVR from files of results; \`--help\`
  lists its flags.
- \`search.ts\`: an index of a folder's photos, found by text or by photo with a model that was trained; \`--help\` lists its flags.
- \`when_images.ts\` (\`deno task when-images\`): when should a language model see images? Main run, branches, tuning, figures, page.
- \`unpaired.ts\`: pre-training on images and texts that were never paired, with controls; \`--help\` lists its flags.
- \`mug.ts\`: masked images, painted and described; \`--help\` lists its flags.
- \`chat.ts\`: asks a model of that experiment about a picture.

They import \`mod.ts\` only, so a copy works with the address of the library in its place.

## Settings of pretrain.ts

Flags win over \`--config FILE\` (TOML or JSON with the same names, without dashes in front), and the file wins over the defaults. Every
run writes the settings that it used as \`settings.json\` beside its checkpoints; \`--config RUN/settings.json\` repeats it. "paper" is
the value of GRIT-VLP's pre-training. This page is made from the declarations in \`pretrain_settings.ts\` and \`src/recipes\` by
\`deno task settings\`; the tests compare it with them.

${settings.settingsTable(common)}
## Settings of the recipes

${recipes.join("\n")}
## Settings of finetune.ts

As those of pretrain.ts. Some defaults differ from task to task; these are VQA's.

${tables(tuningFields(tasks.vqa!), (heading) => !OF_TASK.includes(heading ?? ""))}
## Settings of the tasks

${
    Object.entries(tasks).map(([name, task]) =>
      `### \`finetune.ts ${name}\`: ${task.title}\n\n${defaultsOf(task.usual)}\n\n${
        tables(tuningFields(task), (heading) => OF_TASK.includes(heading ?? ""))
      }`
    ).join("\n")
  }`;
}

/** Headings of the settings that differ from task to task. */
const OF_TASK = ["Task", "Evaluation"];

/** Defaults that a task has of its own. */
function defaultsOf(usual: Readonly<Record<string, unknown>>): string {
  return `Defaults: ${
    Object.entries(usual).map(([key, value]) => `\`--${settings.settingName(key)} ${value}\``).join(", ")
  }.`;
}

/** The table of some settings. */
function tables(fields: settings.Fields, which: (heading: string | undefined) => boolean): string {
  return settings.settingsTable(Object.fromEntries(Object.entries(fields).filter(([, { heading }]) => which(heading))));
}

if (import.meta.main) await writeFileAtomic(SETTINGS_PAGE.pathname, settingsPage());
