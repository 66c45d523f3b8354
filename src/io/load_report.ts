/**
 * What loading tells about itself.
 *
 * @module
 */

/** What became of the parameters of a model and of the tensors of a file. */
export interface LoadReport {
  /** Our parameters that were found. */
  readonly loaded: readonly string[];
  /** Our parameters that were not found, as `allowMissing` permits; they keep their initial values. */
  readonly missing: readonly string[];
  /** Tensors of the file that nothing asked for. */
  readonly leftOver: readonly string[];
  /** Position tables that were resized. */
  readonly resized: readonly {
    readonly name: string;
    readonly from: readonly number[];
    readonly to: readonly number[];
  }[];
  /** Tensors of the file that are known to have no place, and why. */
  readonly ignored: readonly { readonly name: string; readonly reason: string }[];
}

/** A shape for people. */
export const shown = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** The first ten of a list, and how many more there are. */
export function firstTen(items: readonly string[]): string {
  return items.slice(0, 10).join(", ") + (items.length > 10 ? ` and ${items.length - 10} more` : "");
}

/** A report as lines for people; long lists are cut after ten names. */
export function formatLoadReport({ loaded, missing, leftOver, resized, ignored }: LoadReport): string {
  const reasons = Map.groupBy(ignored, ({ reason }) => reason);
  const lines = [
    `${loaded.length} parameters loaded`,
    ...(missing.length > 0 ? [`${missing.length} missing, as allowed: ${firstTen(missing)}`] : []),
    ...resized.map(({ name, from, to }) => `${name} resized from ${shown(from)} to ${shown(to)}`),
    ...[...reasons].map(([reason, of]) => `${of.length} ignored (${reason}): ${firstTen(of.map(({ name }) => name))}`),
    ...(leftOver.length > 0 ? [`${leftOver.length} left over in the file: ${firstTen(leftOver)}`] : []),
  ];
  return lines.join("\n");
}
