/**
 * Arguments that are no tensors: values that a program is made for.
 *
 * @module
 */
import { Tensor } from "./graph.ts";

const functions = new WeakMap<object, number>();
let nextFunction = 1;

/**
 * A value as text, equal exactly if the values are: numbers, strings, booleans, bigints, null and undefined, lists and plain records of
 * these, in the order that they are written in; functions are equal to themselves alone.
 *
 * @throws {TypeError} on anything else, a tensor above all.
 */
export function staticKey(value: unknown, path: string): string {
  const fail = (what: string): never => {
    throw new TypeError(
      `Cannot take argument ${path} as static: it must be a value without tensors (numbers, strings, booleans, functions, lists and ` +
        `records of these): it is ${what}`,
    );
  };
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "function":
      if (!functions.has(value)) functions.set(value, nextFunction++);
      return `function ${functions.get(value)}`;
    case "symbol":
      return fail("a symbol");
    case "object":
      break;
    default:
      return String(value);
  }
  if (value === null) return "null";
  if (value instanceof Tensor) return fail(`a tensor, ${value}`);
  if (Array.isArray(value)) return `[${Array.from(value, (item, i) => staticKey(item, `${path}.${i}`))}]`;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) fail(`a ${value.constructor?.name ?? "class instance"}`);
  const fields = Object.entries(value).map(([name, child]) =>
    `${JSON.stringify(name)}:${staticKey(child, `${path}.${name}`)}`
  );
  return `{${fields}}`;
}
