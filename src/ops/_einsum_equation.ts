/**
 * The equation of einsum: which label each axis of each operand has, and which axes the result has.
 *
 * @module
 */

/** An equation applied to shapes. Labels are letters; axes of "..." are "...1", "...2" and so on, counted from the last. */
export interface Equation {
  /** The labels of the axes of each operand. */
  readonly terms: readonly (readonly string[])[];
  /** The labels of the axes of the result. */
  readonly output: readonly string[];
  /** The length of the axes of each label. */
  readonly lengths: ReadonlyMap<string, number>;
}

const ELLIPSIS = "...";
const TERM = /^([A-Za-z]*)(\.\.\.)?([A-Za-z]*)$/;

type Fail = (sentence: string) => never;

/**
 * Reads an equation for operands of these shapes.
 *
 * @throws {RangeError} if it is malformed or does not fit; the message shows it and the shapes.
 */
export function readEquation(equation: string, shapes: readonly (readonly number[])[]): Equation {
  const fail: Fail = (sentence) => {
    const given = shapes.map((shape) => `[${shape}]`).join(" and ") || "no operands";
    throw new RangeError(`Cannot apply einsum "${equation}" to ${given}: ${sentence}`);
  };
  const [inputs, output, ...more] = equation.replace(/\s/g, "").split("->") as [string, string?, ...string[]];
  if (more.length) fail(`the equation may have one "->": it has ${more.length + 1}`);
  const texts = inputs.split(",");
  if (texts.length !== shapes.length || shapes.length === 0) {
    fail(`the number of operands must be that of the terms, ${texts.length}: it is ${shapes.length}`);
  }
  const terms = texts.map((text, i) => readTerm(text, shapes[i]!, fail));
  const lengths = lengthsOf(terms, shapes, fail);
  return { terms, output: output === undefined ? implicitOutput(terms) : readOutput(output, lengths, fail), lengths };
}

/** The labels of a term for an operand of `shape`. */
function readTerm(text: string, shape: readonly number[], fail: Fail): string[] {
  const [before, ellipsis, after] = parts(text, fail);
  const named = before.length + after.length, rank = shape.length;
  if (ellipsis ? rank < named : rank !== named) {
    fail(`term "${text}" needs an operand of ${ellipsis ? "at least " : ""}${named} axes: it is [${shape}]`);
  }
  return [...before, ...ellipsisLabels(rank - named), ...after];
}

function parts(text: string, fail: Fail): [before: string, ellipsis: boolean, after: string] {
  const match = TERM.exec(text);
  if (!match) return fail(`a term must be letters with at most one "...": it is "${text}"`);
  return [match[1]!, match[2] !== undefined, match[3]!];
}

/** Labels of `count` axes of an ellipsis, which are counted from the last as NumPy broadcasts them. */
function ellipsisLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${ELLIPSIS}${count - i}`);
}

/** The length of each label: equal wherever it is, but that axes of an ellipsis may be 1. */
function lengthsOf(
  terms: readonly string[][],
  shapes: readonly (readonly number[])[],
  fail: Fail,
): Map<string, number> {
  const lengths = new Map<string, number>();
  terms.forEach((term, i) =>
    term.forEach((label, axis) => {
      const length = shapes[i]![axis]!, known = lengths.get(label) ?? length, broadcasts = label.startsWith(ELLIPSIS);
      if (length !== known && !(broadcasts && (length === 1 || known === 1))) {
        const axes = broadcasts ? `axes of "..." must be equal or 1` : `axes of "${label}" must be equal`;
        fail(`${axes}: they are ${known} and ${length}`);
      }
      lengths.set(label, broadcasts ? Math.max(known, length) : length);
    })
  );
  return lengths;
}

/** Without "->": the axes of "...", then the labels that appear once in all terms, in alphabetical order. */
function implicitOutput(terms: readonly string[][]): string[] {
  const all = terms.flat(), letters = all.filter((label) => !label.startsWith(ELLIPSIS));
  return [
    ...broadcastLabels(new Set(all)),
    ...letters.filter((x) => letters.indexOf(x) === letters.lastIndexOf(x)).sort(),
  ];
}

function broadcastLabels(labels: Iterable<string>): string[] {
  return ellipsisLabels([...labels].filter((label) => label.startsWith(ELLIPSIS)).length);
}

function readOutput(text: string, lengths: ReadonlyMap<string, number>, fail: Fail): string[] {
  const [before, ellipsis, after] = parts(text, fail), letters = [...before, ...after];
  letters.forEach((label, i) => {
    if (!lengths.has(label)) fail(`the result's "${label}" must be an axis of an operand: it is of none`);
    if (letters.indexOf(label) !== i) fail(`the result must have each axis once: it has "${label}" twice`);
  });
  return [...before, ...(ellipsis ? broadcastLabels(lengths.keys()) : []), ...after];
}
