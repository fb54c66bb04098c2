/**
 * The intermediate representation: ONNX's own semantics, in plain immutable objects.
 *
 * Nothing is ever mutated in place: a pass that changes a node makes a new object (`{ ...node, inputs }`). The reader
 * notes by identity which bytes an object was decoded from (formats/onnx/origin.ts), and the writer copies them where
 * it meets the very same object, so that whatever the compression library did not change comes out byte for byte.
 */

/** ONNX element types (TensorProto.DataType), by their lower-case names in the ONNX documentation. */
export const DATA_TYPES = [
  'undefined',
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
  'float4e2m1',
  'float8e8m0',
  'uint2',
  'int2',
  'float6e2m3',
  'float6e3m2',
] as const;
export type DataType = (typeof DATA_TYPES)[number];

/** A dimension: a size, a symbolic name (`dim_param`), or `null` where nothing is known. */
export type Dim = number | string | null;

/**
 * Fields of the file that the IR does not model (doc strings, metadata, unknown extensions), as raw protobuf records:
 * carried untouched.
 */
export type Records = readonly Uint8Array[];

/** Element type and shape of a tensor value; `shape: null` where not even the rank is known. */
export interface TensorType {
  readonly dtype: DataType;
  readonly shape: readonly Dim[] | null;
}

/**
 * A named graph input, output or annotation. `type: null`: a sequence, optional or map, or no type at all; carried
 * untouched.
 */
export interface ValueInfo {
  readonly name: string;
  readonly type: TensorType | null;
  readonly rest?: Records;
}

/**
 * A constant tensor. `bytes` are the elements in ONNX `raw_data` form (little-endian, row-major; elements of fewer than
 * 8 bits packed, the first in the lowest bits), whatever storage form the file used. Strings live in `strings` and have
 * empty `bytes`.
 */
export interface Tensor {
  readonly name: string;
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  readonly strings?: readonly Uint8Array[];
  readonly rest?: Records;
}

export type Attribute =
  | { readonly kind: 'float'; readonly value: number }
  // int64 beyond 2^53 saturates; an untouched attribute keeps its bytes
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  | { readonly kind: 'reference'; readonly value: string } // ref_attr_name, inside a function body
  | { readonly kind: 'opaque'; readonly value: Uint8Array }; // sparse tensors, type protos: kept as bytes

export interface Node {
  readonly name: string;
  readonly opType: string;
  /** '' is the default ONNX domain ('ai.onnx' is normalised to ''). */
  readonly domain: string;
  /** '' marks an omitted optional input or output. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Which of several functions of one name the node calls. */
  readonly overload?: string;
  readonly rest?: Records;
}

export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly valueInfos: readonly ValueInfo[];
  /** Doc string, quantization annotations, metadata. */
  readonly rest?: Records;
  /** Order of the fields in the file, run-length coded: [field, count, ...]. */
  readonly order?: readonly number[];
}

/** An operator defined by a body in the file (FunctionProto). */
export interface FunctionDefinition {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly string[];
  readonly attributeDefaults: ReadonlyMap<string, Attribute>;
  readonly nodes: readonly Node[];
  readonly opsets: ReadonlyMap<string, number>;
  readonly rest?: Records;
}

export interface Model {
  readonly irVersion: number;
  /** Opset version by domain ('' is ONNX's own). */
  readonly opsets: ReadonlyMap<string, number>;
  readonly graph: Graph;
  readonly functions: readonly FunctionDefinition[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly producerName?: string;
  readonly rest?: Records;
  /** As in `Graph`. */
  readonly order?: readonly number[];
}
