/** Ends an iterator whose values are not wanted any more, in its own time. */
export function forget(values: AsyncIterator<unknown> | undefined): void {
  values?.return?.().catch(() => {}); // what cannot be read matters to nobody now
}
