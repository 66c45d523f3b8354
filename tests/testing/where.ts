/** Registers a test that needs something of the machine; where that is missing it is ignored, and its name says why. */
export function testWhere(has: boolean, otherwise: string, name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name: has ? name : `${name} (ignored: ${otherwise})`, ignore: !has, fn });
}
