/**
 * NumPy's rule for operands of unequal shapes.
 *
 * @module
 */

/** The shape that `shapes` broadcast to. */
export function broadcastShapes(name: string, shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, axis) => {
    let length = 1;
    for (const shape of shapes) {
      const n = shape[axis - rank + shape.length] ?? 1;
      if (n === 1 || n === length) continue;
      if (length !== 1) {
        throw new RangeError(
          `Cannot broadcast the operands of ${name}: axis lengths must be equal or 1: shapes are ${
            shapes.map((s) => `[${s}]`).join(" and ")
          }`,
        );
      }
      length = n;
    }
    return length;
  });
}
