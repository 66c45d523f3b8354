/** The table of operators. */
import type { Operators } from "../call.ts";
import { activations } from "./activations.ts";
import { creation } from "./creation.ts";
import { elementwiseOperators } from "./elementwise.ts";
import { reductions } from "./reductions.ts";
import { shapes } from "./shapes.ts";

/** All operators by name. */
export const operators: Operators = {
  ...elementwiseOperators,
  ...activations,
  ...shapes,
  ...creation,
  ...reductions,
};
