/** A TensorFlow GraphDef under construction, in the JSON form that TF.js reads. */
import { elementCount, hostOf } from '../../../ir/tensor-data.ts';
import type { HostTensor } from '../../../ir/host-tensor.ts';
import type { DataType, Dim } from '../../../ir/types.ts';

/** The element types TF.js computes with. int64 becomes int32: TF.js has no wider integers. */
export type TfType = 'float32' | 'int32' | 'bool';
const TYPE_NAMES: Readonly<Record<TfType, string>> = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' };

export type TfAttribute =
  | { readonly type: string }
  | { readonly b: boolean }
  | { readonly i: string }
  | { readonly f: number }
  | { readonly s: string }
  | { readonly list: { readonly i: readonly string[] } }
  | { readonly shape: TfShape };
export interface TfShape {
  readonly dim: readonly { readonly size: string }[];
}

export interface TfNode {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, TfAttribute>>;
}

export interface TfWeight {
  readonly name: string;
  readonly dtype: TfType;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

export const typeAttribute = (type: TfType): TfAttribute => ({ type: TYPE_NAMES[type] });
export const textAttribute = (text: string): TfAttribute => ({ s: Buffer.from(text).toString('base64') });
export const intsAttribute = (values: readonly number[]): TfAttribute => ({ list: { i: values.map(String) } });
export const boolAttribute = (value: boolean): TfAttribute => ({ b: value });
export const floatAttribute = (value: number): TfAttribute => ({ f: value });
export const intAttribute = (value: number): TfAttribute => ({ i: String(value) });
export const shapeOf = (shape: readonly Dim[]): TfShape => ({
  dim: shape.map((dim) => ({ size: typeof dim === 'number' ? String(dim) : '-1' })),
});

export class TfGraph {
  readonly nodes: TfNode[] = [];
  readonly weights: TfWeight[] = [];
  readonly #names = new Set<string>();
  readonly #shared = new Map<string, string>();

  /** Adds a node and returns its name, which is also the reference to its first output; the others are `name:1`... */
  op(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, TfAttribute>> = {},
    label: string = op,
  ): string {
    const name = this.#unique(label);
    this.nodes.push({ name, op, input: inputs, attr: attributes });
    return name;
  }

  /** A weight; small integer constants are shared. */
  constant(host: HostTensor, label = 'const'): string {
    const { dtype, data } = tfData(host);
    const name = this.#unique(label);
    this.weights.push({ name, dtype, dims: host.dims, data });
    this.nodes.push({
      name,
      op: 'Const',
      input: [],
      attr: { dtype: typeAttribute(dtype), value: { shape: shapeOf(host.dims) } },
    });
    return name;
  }

  ints(values: readonly number[]): string {
    return this.#sharedConstant(`i${values.join()}`, hostOf('int32', [values.length], values));
  }

  int(value: number): string {
    return this.#sharedConstant(`i:${value}`, hostOf('int32', [], [value]));
  }

  float(value: number): string {
    return this.#sharedConstant(`f:${value}`, hostOf('float32', [], [value]));
  }

  #sharedConstant(key: string, host: HostTensor): string {
    const known = this.#shared.get(key) ?? this.constant(host, 'const');
    this.#shared.set(key, known);
    return known;
  }

  /** TensorFlow's names hold letters, digits and `_.\/-`; a colon would select an output. */
  #unique(label: string): string {
    const base = label.replace(/[^A-Za-z0-9_./-]/g, '_').replace(/^[^A-Za-z0-9.]+/, '') || 'value';
    let name = base;
    for (let i = 1; this.#names.has(name); i++) name = `${base}_${i}`;
    this.#names.add(name);
    return name;
  }
}

export function tfType(dtype: DataType): TfType {
  if (dtype === 'bool') return 'bool';
  return dtype.startsWith('float') || dtype === 'bfloat16' ? 'float32' : 'int32';
}

function tfData({ dtype, dims, data }: HostTensor): { dtype: TfType; data: Float32Array | Int32Array | Uint8Array } {
  const type = tfType(dtype);
  const count = elementCount(dims);
  const values = data as ArrayLike<number | bigint>;
  if (type === 'float32')
    return {
      dtype: type,
      data: data instanceof Float32Array ? data : Float32Array.from({ length: count }, (_, i) => Number(values[i])),
    };
  // Slices to "the end" are written as the largest int64: they saturate.
  const narrow = (value: number | bigint): number => Math.min(Math.max(Number(value), -2147483648), 2147483647);
  if (type === 'int32') return { dtype: type, data: Int32Array.from({ length: count }, (_, i) => narrow(values[i]!)) };
  return { dtype: type, data: Uint8Array.from({ length: count }, (_, i) => Number(values[i])) };
}
