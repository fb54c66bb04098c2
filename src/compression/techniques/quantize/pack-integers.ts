/**
 * int8 and int4 weights that a runtime unpacks by plain operators of every opset: Cast to float32, minus the zero
 * point, times the scale.
 *
 * onnxruntime folds these nodes when it loads the model, but evaluates the equivalent DequantizeLinear in every run: a
 * small CNN (390 k weights, batch 1) took 0.38 ms with it, 0.21 ms in this form and as float. int4 has no element type
 * before opset 21 (and few runtimes cast it): two codes share a byte, byte = low + 16 * high, which Floor separates.
 */
import { elementAt } from '../../ir/checked-access.ts';
import { makeNode } from '../../ir/edit.ts';
import { elementCount, fromHost } from '../../ir/tensor-data.ts';
import type { Tensor } from '../../ir/types.ts';
import { constant, FLOAT32, scaleTensor, type Additions } from './graph-parts.ts';
import type { QuantizeParameters } from './spec.ts';
import type { WeightAxes } from '../../weights/weight-axes.ts';
import { quantizeWeight, type QuantizedWeight } from '../../weights/quantize-weight.ts';

const INT4_BLOCK = 32;
/** Shorter blocks spend more on scales than they save. */
const MIN_BLOCK = 8;
/** In smaller weights, half bytes save less than the nodes that separate them take. */
const MIN_INT4_ELEMENTS = 2048;

/** The weight's dimensions while packed: kernels of many axes as [channel, rest], blocks as their own axis. */
interface Packing {
  readonly dims: readonly number[];
  readonly channelAxis: number | null;
  readonly block: { readonly axis: number; readonly size: number } | null;
}

export function takesFourBits({ dims }: Pick<Tensor, 'dims'>): boolean {
  const elements = elementCount(dims);
  return elements >= MIN_INT4_ELEMENTS && elements % 2 === 0;
}

export interface PackOptions {
  readonly axes: WeightAxes;
  readonly parameters: QuantizeParameters;
  /** A name that the model does not use yet. */
  readonly fresh: (base: string) => string;
  readonly additions: Additions;
}

export function packIntegers(tensor: Tensor, { axes, parameters, fresh, additions }: PackOptions): void {
  const { symmetric } = parameters;
  const four = parameters.precision === 'int4' && takesFourBits(tensor); // others: 8 bits
  const packing = packingOf(tensor.dims, axes, four ? parameters : { ...parameters, precision: 'int8' });
  const { channelAxis, block } = packing;
  const quantized = quantizeWeight(
    { ...tensor, dims: packing.dims },
    { type: four ? 'int4' : 'int8', symmetric, channelAxis, ...(block ? { block } : {}) },
  );
  const builder = new Unpacking(tensor.name, `w${additions.nodes.length}`, fresh, additions);
  const [codeDims, scaleDims] = [
    blockDims(packing.dims, block, (size, inner) => [size / inner, inner]),
    blockDims(quantized.scaleDims, block, (size) => [size, 1]),
  ];
  let value = four ? builder.fourBits(quantized.codes, codeDims) : builder.eightBits(quantized.codes, codeDims);
  const zeros = zeroPoints(quantized, four ? 8 : 0, scaleDims);
  if (zeros)
    value = builder.step('Sub', [
      value,
      builder.add(constant(builder.name('zero_point'), 'float32', zeros.dims, zeros.values)),
    ]);
  value = builder.step('Mul', [value, builder.add(scaleTensor(builder.name('scale'), quantized.affines, scaleDims))]);
  builder.finish(value, codeDims.join() === tensor.dims.join() ? null : tensor.dims);
}

function packingOf(
  dims: readonly number[],
  axes: WeightAxes,
  { precision, perChannel, blockSize }: QuantizeParameters,
): Packing {
  const [first = 1, ...others] = dims;
  const flat = axes.channel === 0 && dims.length > 2 ? [first, elementCount(others)] : dims;
  const sum = flat === dims ? axes.sum : 1;
  const wanted = blockSize || (precision === 'int4' ? INT4_BLOCK : 0);
  const block = sum === null || wanted === 0 ? null : blockAlong(sum, elementAt(flat, sum, 'axis'), wanted);
  return { dims: flat, channelAxis: perChannel || block ? axes.channel : null, block };
}

/** null where blocks would be too short, or one would be the whole axis. */
function blockAlong(axis: number, length: number, wanted: number): Packing['block'] {
  const size = largestDivisor(length, wanted);
  return size >= MIN_BLOCK && size < length ? { axis, size } : null;
}

function largestDivisor(length: number, max: number): number {
  for (let size = Math.min(max, length); size > 1; size--) if (length % size === 0) return size;
  return 1;
}

const blockDims = (
  dims: readonly number[],
  block: Packing['block'],
  split: (size: number, inner: number) => readonly number[],
): readonly number[] => dims.flatMap((size, axis) => (block?.axis === axis ? split(size, block.size) : [size]));

/** The number to subtract from the stored codes (int4 is stored as code + 8); null if none. */
function zeroPoints(
  { affines }: QuantizedWeight,
  offset: number,
  dims: readonly number[],
): { dims: readonly number[]; values: number[] } | null {
  if (affines.some(({ zeroPoint }) => zeroPoint !== 0))
    return { dims, values: affines.map(({ zeroPoint }) => zeroPoint + offset) };
  return offset === 0 ? null : { dims: [], values: [offset] };
}

/** A chain of nodes that ends in the weight's own name; intermediate names are short, since small models have many. */
class Unpacking {
  private readonly weight: string;
  private readonly prefix: string;
  private readonly fresh: (base: string) => string;
  private readonly additions: Additions;

  constructor(weight: string, prefix: string, fresh: (base: string) => string, additions: Additions) {
    this.weight = weight;
    this.prefix = prefix;
    this.fresh = fresh;
    this.additions = additions;
  }

  name(part: string): string {
    return this.fresh(`${this.prefix}_${part}`);
  }

  add(tensor: Tensor): string {
    this.additions.tensors.push(tensor);
    return tensor.name;
  }

  step(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, number>> = {}): string {
    const output = this.name(opType.toLowerCase());
    this.additions.nodes.push(makeNode(opType, inputs, [output], attributes, { name: '' }));
    return output;
  }

  number(part: string, value: number): string {
    return this.add(constant(this.name(part), 'float32', [], [value]));
  }

  reshape(value: string, dims: readonly number[]): string {
    return this.step('Reshape', [value, this.add(constant(this.name('shape'), 'int64', [dims.length], dims))]);
  }

  eightBits(codes: Int8Array | Uint8Array, dims: readonly number[]): string {
    return this.step('Cast', [this.add(fromHost(this.name('int8'), { dtype: 'int8', dims, data: codes }))], {
      to: FLOAT32,
    });
  }

  fourBits(codes: Int8Array | Uint8Array, dims: readonly number[]): string {
    const bytes = Uint8Array.from(
      { length: codes.length / 2 },
      (_, i) => (codes[2 * i]! + 8) | ((codes[2 * i + 1]! + 8) << 4),
    );
    const packed = this.step(
      'Cast',
      [this.add(fromHost(this.name('int4'), { dtype: 'uint8', dims: [bytes.length, 1], data: bytes }))],
      { to: FLOAT32 },
    );
    const high = this.step('Floor', [this.step('Mul', [packed, this.number('sixteenth', 1 / 16)])]);
    const low = this.step('Sub', [packed, this.step('Mul', [high, this.number('sixteen', 16)])]);
    return this.reshape(this.step('Concat', [low, high], { axis: 1 }), dims);
  }

  /** Renames the chain's end to the weight's name. */
  finish(value: string, dims: readonly number[] | null): void {
    if (dims) this.reshape(value, dims);
    const last = this.additions.nodes.pop();
    if (last) this.additions.nodes.push({ ...last, outputs: [this.weight] });
  }
}
