import { assert, assertEquals } from "@std/assert";
import { type Lifetime, planMemory } from "../../src/program/memory.ts";
import { randomSource } from "../testing/reference.ts";

function randomLifetimes(seed: number): Lifetime[] {
  const random = randomSource(seed), below = (n: number) => Math.floor(random() * n);
  const steps = 1 + below(60);
  return Array.from({ length: below(80) }, () => {
    const from = below(steps);
    return { bytes: 4 * (1 + below(random() < 0.2 ? 5000 : 200)), from, to: from + below(steps - from) };
  });
}

/** The most bytes (aligned) that live at one step: no layout can do with less. */
function lowerBound(values: readonly Lifetime[], alignment: number): number {
  const steps = Math.max(0, ...values.map((v) => v.to + 1));
  const liveAt = (step: number) =>
    values.reduce((n, v) => n + (v.from <= step && step <= v.to ? Math.ceil(v.bytes / alignment) * alignment : 0), 0);
  return Math.max(0, ...Array.from({ length: steps }, (_, step) => liveAt(step)));
}

Deno.test("planMemory() never lets two values overlap while both live, keeps alignment and arena sizes", () => {
  for (let seed = 1; seed <= 400; seed++) {
    const values = randomLifetimes(seed), maxBytes = seed % 3 ? 1 << 30 : 8192;
    const { places, arenas } = planMemory(values, 256, maxBytes);
    assertEquals(places.length, values.length);
    values.forEach((a, i) => {
      const p = places[i]!;
      assertEquals(p.offset % 256, 0);
      assert(p.offset + a.bytes <= arenas[p.arena]!, `value ${i} ends beyond its arena (seed ${seed})`);
      values.slice(0, i).forEach((b, j) => {
        const q = places[j]!;
        const together = a.from <= b.to && b.from <= a.to && p.arena === q.arena;
        const apart = p.offset + a.bytes <= q.offset || q.offset + b.bytes <= p.offset;
        assert(!together || apart, `values ${i} and ${j} overlap (seed ${seed})`);
      });
    });
    const largest = Math.max(0, ...values.map((v) => Math.ceil(v.bytes / 256) * 256));
    for (const bytes of arenas) assert(bytes <= Math.max(maxBytes, largest));
  }
});

Deno.test("planMemory() comes close to the least memory that is possible", () => {
  let used = 0, least = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const values = randomLifetimes(seed);
    used += planMemory(values, 256, 1 << 30).arenas.reduce((a, b) => a + b, 0);
    least += lowerBound(values, 256);
  }
  assert(used < 1.1 * least, `${used} bytes where ${least} are needed`);
});

Deno.test("values that follow one another share one place", () => {
  const { places, arenas } = planMemory([0, 1, 2, 3].map((from) => ({ bytes: 1000, from, to: from })), 256, 1 << 30);
  assertEquals(places, Array(4).fill({ arena: 0, offset: 0 }));
  assertEquals(arenas, [1024]);
});
