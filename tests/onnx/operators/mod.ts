/** The table of operators. */
import type { Operators } from "../call.ts";
import { activations } from "./activations.ts";
import { attentions } from "./attention.ts";
import { classical } from "./classical.ts";
import { control } from "./control.ts";
import { convolutions } from "./convolutions.ts";
import { creation } from "./creation.ts";
import { elementwiseOperators } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { leftOut } from "./left_out.ts";
import { losses } from "./losses.ts";
import { normalisation } from "./normalisation.ts";
import { padding } from "./padding.ts";
import { pools } from "./pools.ts";
import { products } from "./products.ts";
import { quantisation } from "./quantisation.ts";
import { recurrent } from "./recurrent.ts";
import { reductions } from "./reductions.ts";
import { resizing } from "./resize.ts";
import { sampling } from "./sampling.ts";
import { shapes } from "./shapes.ts";
import { signals } from "./signals.ts";

/** All operators by name. */
export const operators: Operators = {
  ...elementwiseOperators,
  ...activations,
  ...shapes,
  ...padding,
  ...creation,
  ...reductions,
  ...products,
  ...indexing,
  ...convolutions,
  ...pools,
  ...resizing,
  ...sampling,
  ...normalisation,
  ...attentions,
  ...recurrent,
  ...losses,
  ...quantisation,
  ...signals,
  ...classical,
  ...control,
  ...leftOut,
};
