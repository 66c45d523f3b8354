/**
 * What `torch.save` puts into a pickle beside plain containers: storages and tensors that view them.
 *
 * @module
 */

import { byteLength, type Dtype, elementCount } from "./dtype.ts";
import type { PickleRules } from "./pickle.ts";
import { Global, Made, type PickleValue, Tuple } from "./pickle_values.ts";
import type { TorchStorage, TorchTensor } from "./strided.ts";

const STORAGES: Readonly<Record<string, Dtype>> = {
  DoubleStorage: "F64",
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
  ComplexFloatStorage: "C64",
  UntypedStorage: "U8",
};

const DTYPES: Readonly<Record<string, Dtype>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  float8_e5m2: "F8_E5M2",
  float8_e4m3fn: "F8_E4M3",
  float8_e5m2fnuz: "F8_E5M2FNUZ",
  float8_e4m3fnuz: "F8_E4M3FNUZ",
  float8_e8m0fnu: "F8_E8M0",
  int64: "I64",
  int32: "I32",
  int16: "I16",
  int8: "I8",
  uint64: "U64",
  uint32: "U32",
  uint16: "U16",
  uint8: "U8",
  bool: "BOOL",
  complex64: "C64",
};

/** Globals by name: a storage class or a number format. */
const FORMATS = new Map<string, Dtype>([
  ...Object.entries(STORAGES).flatMap(([name, dtype]): [string, Dtype][] => {
    return [[`torch.${name}`, dtype], [`torch.storage.${name}`, dtype]];
  }),
  ...Object.entries(DTYPES).map(([name, dtype]): [string, Dtype] => [`torch.${name}`, dtype]),
]);

/** The tensor that a value of a pickle stands for, if it does. */
export function tensorIn(value: PickleValue): TorchTensor | undefined {
  return value instanceof Made && "strides" in value.value ? value.value as TorchTensor : undefined;
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function countsIn(value: PickleValue | undefined): number[] | undefined {
  return value instanceof Tuple && value.items.every(isCount) ? [...value.items as number[]] : undefined;
}

/** What is wrong with a view of a storage; a view must lie within it and may not have more elements than it. */
function faultOf({ storage, dtype, shape, strides, offset }: TorchTensor): string | undefined {
  if (shape.length !== strides.length) return `has ${shape.length} sizes and ${strides.length} strides`;
  const held = Math.floor(byteLength(storage.dtype, storage.count) / byteLength(dtype, 1));
  const count = elementCount(shape);
  if (count === 0) return undefined;
  const last = shape.reduce((place, size, axis) => place + (size - 1) * strides[axis]!, offset);
  if (last >= held) return `reaches element ${last} of a storage of ${held}`;
  if (count > held) return `repeats elements: ${count} from a storage of ${held}; save a contiguous copy`;
  return undefined;
}

/** Classes that Lightning names the state of its callbacks by. As names they do nothing; calling one is refused like any other. */
const LIGHTNING = /^(pytorch_lightning|lightning)\.[\w.]+$/;

/** The rules of PyTorch's archives for `unpickle`. */
export function torchRules(path: string): PickleRules {
  const fail = (what: string): never => {
    throw new SyntaxError(`Cannot read "${path}": ${what}`);
  };
  const formatOf = (value: PickleValue | undefined): Dtype | undefined => {
    return value instanceof Global ? FORMATS.get(value.name) : undefined;
  };

  function rebuild(args: readonly PickleValue[], format: Dtype | undefined): PickleValue {
    const [storage, offset, size, stride] = args;
    const shape = countsIn(size), strides = countsIn(stride);
    const isStorage = storage instanceof Made && "key" in storage.value;
    if (!isStorage || !isCount(offset) || shape === undefined || strides === undefined) {
      return fail("a tensor is not made of a storage, an offset, sizes and strides");
    }
    const held = storage.value as TorchStorage;
    const tensor = { storage: held, dtype: format ?? held.dtype, shape, strides, offset };
    const fault = faultOf(tensor);
    return fault === undefined
      ? new Made(tensor)
      : fail(`a tensor [${shape.join(", ")}] of storage "${held.key}" ${fault}`);
  }

  const calls: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
    "collections.OrderedDict": (args) => args.length === 0 ? new Map() : fail("an OrderedDict is made of arguments"),
    "torch._utils._rebuild_tensor_v2": (args) => rebuild(args, undefined),
    "torch._utils._rebuild_tensor_v3": (args) =>
      rebuild(args, formatOf(args[6]) ?? fail("a tensor has no known dtype")),
    "torch._utils._rebuild_parameter": (args) => {
      return args[0] !== undefined && tensorIn(args[0]) ? args[0] : fail("a parameter is not made of a tensor");
    },
  };
  return {
    isKnown: (name) => Object.hasOwn(calls, name) || FORMATS.has(name) || LIGHTNING.test(name),
    call: (name, args) =>
      Object.hasOwn(calls, name) ? calls[name]!(args) : fail(`it calls "${name}", which is no function`),
    persistent(id) {
      const [tag, type, key, , count] = id instanceof Tuple ? id.items : [];
      const dtype = formatOf(type);
      if (tag !== "storage" || dtype === undefined || typeof key !== "string" || !isCount(count)) {
        return fail("a persistent id does not name a storage");
      }
      return new Made({ key, dtype, count });
    },
  };
}
