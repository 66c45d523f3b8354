import { assertEquals } from "@std/assert";
import { albefSpec } from "../../src/models/albef.ts";
import { configs } from "../../src/models/config.ts";
import { countParameters } from "../../src/nn/spec.ts";

Deno.test("the base model has 209,937,725 parameters", () => {
  const spec = albefSpec(configs.base);
  assertEquals(countParameters(spec.visual_encoder), 85_844_736);
  assertEquals(countParameters(spec.text_encoder), 123_697_722);
  assertEquals(countParameters(spec), 209_937_725);
});
