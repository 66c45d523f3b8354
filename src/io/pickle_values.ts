/**
 * What a pickle may hold.
 *
 * @module
 */

/** A Python tuple. */
export class Tuple {
  /** Keeps the items. */
  constructor(readonly items: readonly PickleValue[]) {}
}

/** The name of a Python class or function; only a name, never the thing. */
export class Global {
  /** Keeps the name, e.g. "collections.OrderedDict". */
  constructor(readonly name: string) {}
}

/** Something that the caller made of a call or of a persistent id. */
export class Made {
  /** Keeps the value. */
  constructor(readonly value: object) {}
}

/** Keys of dicts. */
export type PickleKey = string | number;
/** A Python list. */
export type PickleList = PickleValue[];
/** A Python dict. */
export type PickleDict = Map<PickleKey, PickleValue>;
/** All that a pickle may hold. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleList
  | PickleDict
  | Tuple
  | Global
  | Made;
