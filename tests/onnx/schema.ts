/**
 * ONNX's protobuf messages, read and written by protobufjs (the most widely used protobuf library of JavaScript, released
 * monthly). The schema below is the part of onnx.proto that tests of operators use; other fields are skipped.
 */
import protobuf from "npm:protobufjs@8.8.1";

const SCHEMA = `
syntax = "proto2";
message OperatorSet { optional string domain = 1; optional int64 version = 2; }
message Tensor {
  repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9;
  repeated float float_data = 4 [packed = true]; repeated int32 int32_data = 5 [packed = true];
  repeated bytes string_data = 6; repeated int64 int64_data = 7 [packed = true];
  repeated double double_data = 10 [packed = true]; repeated uint64 uint64_data = 11 [packed = true];
  optional int32 data_location = 14;
}
message Attribute {
  optional string name = 1; optional int32 type = 20; optional string ref_attr_name = 21;
  optional float f = 2; optional int64 i = 3; optional bytes s = 4; optional Tensor t = 5; optional Graph g = 6;
  repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9;
}
message Node {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated Attribute attribute = 5; optional string domain = 7;
}
message Type { optional TensorType tensor_type = 1; optional bytes sequence_type = 4; optional bytes map_type = 5;
  optional bytes sparse_tensor_type = 8; optional bytes optional_type = 9; }
message TensorType { optional int32 elem_type = 1; }
message ValueInfo { optional string name = 1; optional Type type = 2; }
message Graph {
  repeated Node node = 1; optional string name = 2; repeated Tensor initializer = 5; repeated ValueInfo input = 11;
  repeated ValueInfo output = 12; repeated bytes sparse_initializer = 15;
}
message Function {
  optional string name = 1; repeated string input = 4; repeated string output = 5; repeated string attribute = 6;
  repeated Node node = 7; optional string domain = 10; repeated Attribute attribute_proto = 11;
}
message Model { optional int64 ir_version = 1; optional Graph graph = 7; repeated OperatorSet opset_import = 8;
  repeated Function functions = 25; }
`;

/** A tensor as it is in a file. */
export interface TensorMessage {
  readonly name?: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData?: Uint8Array;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly stringData: readonly Uint8Array[];
  readonly int64Data: readonly number[];
  readonly doubleData: readonly number[];
  readonly uint64Data: readonly number[];
  readonly dataLocation?: number;
}

/** An attribute; which field holds its value, `type` says. */
export interface AttributeMessage {
  readonly name: string;
  readonly type?: number;
  readonly refAttrName?: string;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly t?: TensorMessage;
  readonly g?: GraphMessage;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  readonly strings: readonly Uint8Array[];
}

/** One application of an operator; results and inputs by name, "" where one is left out. */
export interface NodeMessage {
  readonly opType: string;
  readonly domain?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeMessage[];
}

/** The name and the type of an input or a result of a graph. */
export interface ValueInfoMessage {
  readonly name: string;
  readonly type?: { readonly tensorType?: { readonly elemType: number } };
}

/** Nodes in an order in which they can run. */
export interface GraphMessage {
  readonly node: readonly NodeMessage[];
  readonly initializer: readonly TensorMessage[];
  readonly input: readonly ValueInfoMessage[];
  readonly output: readonly ValueInfoMessage[];
}

/** An operator made of others, of the model's own. */
export interface FunctionMessage {
  readonly name: string;
  readonly domain?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly node: readonly NodeMessage[];
  readonly attributeProto: readonly AttributeMessage[];
}

/** A model file. */
export interface ModelMessage {
  readonly graph: GraphMessage;
  readonly opsetImport: readonly { readonly domain?: string; readonly version: number }[];
  readonly functions: readonly FunctionMessage[];
}

const root = protobuf.parse(SCHEMA).root;
const [model, tensor] = ["Model", "Tensor"].map((name) => root.lookupType(name));

function decode(type: protobuf.Type, bytes: Uint8Array): unknown {
  return type.toObject(type.decode(bytes), { longs: Number, arrays: true });
}

/** Reads a model. Integers beyond 2^53 lose their last digits. */
export function decodeModel(bytes: Uint8Array): ModelMessage {
  return decode(model!, bytes) as ModelMessage;
}

/** Reads a tensor. */
export function decodeTensor(bytes: Uint8Array): TensorMessage {
  return decode(tensor!, bytes) as TensorMessage;
}

/** Writes a model given as a plain object; lists that are empty may be left out. */
export function encodeModel(message: Record<string, unknown>): Uint8Array {
  return new Uint8Array(model!.encode(model!.fromObject(message)).finish());
}

/** Writes a tensor given as a plain object. */
export function encodeTensor(message: Record<string, unknown>): Uint8Array {
  return new Uint8Array(tensor!.encode(tensor!.fromObject(message)).finish());
}
