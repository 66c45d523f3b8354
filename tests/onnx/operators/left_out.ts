/** Operators that are known but not expressed, with the reason that the report gives. */
import type { Operator, Operators } from "../call.ts";
import { NotExpressible } from "../types.ts";

const REASONS: Readonly<Record<string, readonly string[]>> = {
  "random numbers: the expected ones are those of another generator": [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
  ],
  "sequences and optional values": [
    "ConcatFromSequence",
    "Optional",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SequenceMap",
    "SplitToSequence",
  ],
  "strings": ["RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "ai.onnx.ml.LabelEncoder"],
  "images in the formats of files": ["ImageDecoder"],
  "gradients as operators of a graph": ["ai.onnx.preview.training.Gradient"],
};

function refusing(reason: string): Operator {
  return () => {
    throw new NotExpressible(reason);
  };
}

/** The table. */
export const leftOut: Operators = Object.fromEntries(
  Object.entries(REASONS).flatMap(([reason, names]) => names.map((name) => [name, refusing(reason)])),
);
