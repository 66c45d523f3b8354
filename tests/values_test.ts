import { assert, assertEquals } from "@std/assert";
import { defaultDevice } from "../src/gpu/device.ts";
import { namedTests, valuesPage } from "./values.ts";

const { profile } = await defaultDevice();

Deno.test({
  name: "VALUES.md says what calls give; deno task values makes it anew",
  ignore: !profile.f16, // the page has 16-bit floats
  sanitizeResources: false, // a second device
  async fn() {
    const strip = (page: string): string => page.replace(/on the device ".*?"|on another one, ".*?"/g, "");
    const page = await Deno.readTextFile(new URL("../VALUES.md", import.meta.url));
    assertEquals(strip(page), strip(await valuesPage()));
  },
});

Deno.test("the tests that VALUES.md names are there", async () => {
  for (const [file, name] of namedTests) {
    const source = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
    assert(source.includes(name), `${file} must have a test "${name}"`);
  }
});
