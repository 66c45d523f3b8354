/** Placeholder until the page is merged. */
export function writePage(..._: unknown[]): Promise<string[]> {
  return Promise.resolve([]);
}
