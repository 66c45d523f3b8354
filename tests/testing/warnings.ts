/** What code says to people. */

/** Runs `body` and gives what it warned of, line by line. */
export async function warnings(body: () => Promise<unknown>): Promise<string[]> {
  const said: string[] = [], warn = console.warn;
  console.warn = (text: string) => said.push(text);
  try {
    await body();
  } finally {
    console.warn = warn;
  }
  return said;
}
