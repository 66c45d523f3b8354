import { assertEquals } from "@std/assert";
import { cacheFolder } from "../../src/gpu/cache_folder.ts";

/** The folder of a system with these variables. */
function folderOf(os: string | undefined, variables: Record<string, string>, chosen?: string): string | undefined {
  return cacheFolder(chosen, { os, read: (name) => variables[name] });
}

Deno.test("the cache folder is the user's by the custom of the system", () => {
  const HOME = "/home/ada";
  assertEquals(folderOf("linux", { HOME }), "/home/ada/.cache/gritstone");
  assertEquals(folderOf("linux", { HOME, XDG_CACHE_HOME: "/big/cache" }), "/big/cache/gritstone");
  assertEquals(folderOf("linux", { HOME, XDG_CACHE_HOME: "relative" }), "/home/ada/.cache/gritstone");
  assertEquals(folderOf("darwin", { HOME, XDG_CACHE_HOME: "/big/cache" }), "/home/ada/Library/Caches/gritstone");
  const LOCALAPPDATA = "C:\\Users\\ada\\AppData\\Local";
  assertEquals(folderOf("windows", { LOCALAPPDATA, HOME }), `${LOCALAPPDATA}/gritstone`);
});

Deno.test("another folder, or none, may be chosen; there is none in a browser and where no variable can be read", () => {
  const HOME = "/home/ada";
  assertEquals(folderOf("linux", { HOME, GRITSTONE_CACHE: "/elsewhere" }), "/elsewhere");
  assertEquals(folderOf("linux", { HOME, GRITSTONE_CACHE: "off" }), undefined);
  assertEquals(folderOf("linux", { HOME, GRITSTONE_CACHE: "off" }, "/told"), "/told");
  assertEquals(folderOf("linux", { HOME }, "off"), undefined);
  assertEquals(folderOf("linux", {}), undefined);
  assertEquals(folderOf(undefined, { HOME, GRITSTONE_CACHE: "/elsewhere" }), undefined);
});
