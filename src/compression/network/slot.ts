/** A value while a network runs: host data and device tensors in one or both layouts, each made on first use. */
import type { DataType } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Layout, Value } from '../operators/operator.ts';
import {
  fromChannelsLast,
  lastPermutation,
  movesNothing,
  toChannelsLast,
  toOnnxOrder,
} from '../operators/device/layouts.ts';
import { download, upload } from '../operators/transfer.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';

export class Slot {
  readonly dtype: DataType;
  /** Kept beyond the run: constants of the network, whose tensors are made once. */
  readonly lasting: boolean;
  /** The value where it came from the host. */
  private exact: HostTensor | null = null;
  private downloaded: HostTensor | null = null;
  private readonly forms = new Map<string, TfTensor>();
  private stored: { readonly variable: TfTensor; readonly perm: readonly number[] } | null = null;
  private readonly onnxDims: readonly number[];
  /** A tensor that the slot does not own: a variable, or an input of the run. */
  private given: TfTensor | null = null;

  private constructor(dtype: DataType, dims: readonly number[], lasting: boolean) {
    this.dtype = dtype;
    this.onnxDims = dims;
    this.lasting = lasting;
  }

  static ofHost(value: HostTensor, lasting = false): Slot {
    const slot = new Slot(value.dtype, value.dims, lasting);
    slot.exact = value;
    return slot;
  }

  static ofDevice(dtype: DataType, tensor: TfTensor, layout: Layout = 'onnx'): Slot {
    const last = layout === 'channels-last' && tensor.rank >= 3;
    const slot = new Slot(dtype, last ? toOnnxOrder(tensor.shape) : tensor.shape, false);
    slot.forms.set(last ? 'channels-last' : 'onnx', tensor);
    return slot;
  }

  /** A parameter: a variable that lies in `perm` of ONNX's order of axes. */
  static ofVariable(
    dtype: DataType,
    dims: readonly number[],
    variable: TfTensor,
    perm: readonly number[] | null,
  ): Slot {
    const slot = new Slot(dtype, dims, false);
    slot.given = variable;
    slot.forms.set(perm ? `permuted-${perm.join()}` : 'onnx', variable);
    if (perm) slot.stored = { variable, perm };
    return slot;
  }

  /** A value from outside the instruction, whose tensor other slots may share. */
  static of(value: Value): Slot {
    if (value.kind === 'host') return Slot.ofHost(value.value);
    const slot = Slot.ofDevice(value.dtype, value.tensor);
    slot.given = value.tensor;
    return slot;
  }

  /** Whether the value was made on the host: exact without a download, and no gradient flows into it. */
  get isHost(): boolean {
    return this.exact !== null;
  }

  get dims(): readonly number[] {
    return this.onnxDims;
  }

  host(): HostTensor {
    return this.exact ?? (this.downloaded ??= download(this.tensor('onnx'), this.dtype));
  }

  value(): Value {
    return this.exact
      ? { kind: 'host', value: this.exact }
      : { kind: 'device', dtype: this.dtype, tensor: this.tensor('onnx') };
  }

  /** The tensor in a layout; of rank 2 or less both are the same. */
  tensor(layout: Layout): TfTensor {
    const form = this.onnxDims.length < 3 ? 'onnx' : layout;
    const known = this.forms.get(form);
    if (known) return known;
    return this.remember(form, this.make(form));
  }

  /** Expanded on the left to `rank` axes, then channels last, as broadcasting in that layout needs it. */
  expanded(rank: number): TfTensor {
    const { dims } = this;
    if (dims.length === rank || dims.length === 0) return this.tensor('channels-last');
    const form = `expanded-${rank}`;
    const known = this.forms.get(form);
    if (known) return known;
    const full = [...new Array<number>(rank - dims.length).fill(1), ...dims];
    const [batch = 1, channels = 1, ...positions] = full;
    const last = [batch, ...positions, channels];
    const made = movesNothing(full)
      ? tf.reshape(this.tensor('onnx'), last)
      : tf.transpose(tf.reshape(this.tensor('onnx'), full), lastPermutation(rank));
    return this.remember(form, made);
  }

  /** With axes permuted: a weight in the layout its operator wants. */
  permuted(perm: readonly number[]): TfTensor {
    if (perm.every((axis, i) => axis === i)) return this.tensor('onnx');
    const form = `permuted-${perm.join()}`;
    const known = this.forms.get(form);
    return known ?? this.remember(form, tf.transpose(this.tensor('onnx'), [...perm]));
  }

  /** Frees what a lasting slot holds on the device. */
  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
    this.forms.clear();
  }

  /** The value in every form made so far. */
  get tensors(): readonly TfTensor[] {
    return [...this.forms.values()];
  }

  /** Whether a tensor is one of the value's forms. */
  holds(tensor: TfTensor): boolean {
    return this.tensors.includes(tensor);
  }

  /** Frees the tensors that are neither given nor shared. */
  free(shared: ReadonlySet<TfTensor>): void {
    for (const tensor of this.tensors) if (tensor !== this.given && !shared.has(tensor)) tensor.dispose();
    this.forms.clear();
  }

  private make(form: Layout): TfTensor {
    const other = this.forms.get(form === 'onnx' ? 'channels-last' : 'onnx');
    if (form === 'channels-last') return toChannelsLast(other ?? this.tensor('onnx'));
    if (other) return fromChannelsLast(other);
    if (this.stored) return tf.transpose(this.stored.variable, invert(this.stored.perm));
    if (!this.exact) throw new Error('The value has neither host data nor a tensor: its slot has been freed');
    return upload(this.exact);
  }

  private remember(form: string, tensor: TfTensor): TfTensor {
    this.forms.set(form, this.lasting ? tf.keep(tensor) : tensor);
    return tensor;
  }
}

/** The permutation that undoes `perm`. */
export function invert(perm: readonly number[]): number[] {
  const inverse = new Array<number>(perm.length);
  perm.forEach((axis, i) => {
    inverse[axis] = i;
  });
  return inverse;
}
