/**
 * A data set of expressions on disk as something to ground.
 *
 * @module
 */
import { cleanCaption } from "../data/captions.ts";
import type { Example } from "../data/dataset.ts";
import type { ImageReader } from "../data/images.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { imagePlan } from "../data/transform.ts";
import { tensor } from "../program/compile.ts";
import { Random } from "../random/random.ts";
import type { Box, GroundedText } from "./grounding.ts";
import type { GroundingSet } from "./grounding_evaluator.ts";

