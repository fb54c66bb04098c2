/** Collects the nodes and constants that unpack a weight's stored codes. */
import { makeNode, type AttributeValue } from '../../ir/edit.ts';
import { fromHost, hostOf } from '../../ir/tensor-data.ts';
import { DATA_TYPES, type DataType, type Node, type Tensor } from '../../ir/types.ts';

const INT32 = DATA_TYPES.indexOf('int32');

export class Unpacking {
  readonly tensors: Tensor[] = [];
  readonly nodes: Node[] = [];
  private readonly fresh: (base: string) => string;

  /** Names are short: small models have many of them. */
  constructor(fresh: (base: string) => string) {
    this.fresh = fresh;
  }

  add(tensor: Tensor): string {
    this.tensors.push(tensor);
    return tensor.name;
  }

  constant(dtype: DataType, dims: readonly number[], values: ArrayLike<number>): string {
    return this.add(fromHost(this.fresh('c'), hostOf(dtype, dims, values)));
  }

  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    output = this.fresh('v'),
  ): string {
    this.nodes.push(makeNode(opType, inputs, [output], attributes, { name: '' }));
    return output;
  }

  cast(value: string): string {
    return this.node('Cast', [value], { to: INT32 });
  }

  reshape(value: string, dims: readonly number[]): string {
    return this.node('Reshape', [value, this.constant('int64', [dims.length], dims)]);
  }

  /** The first elements of a vector. */
  slice(value: string, length: number): string {
    return this.node('Slice', [value, this.constant('int64', [1], [0]), this.constant('int64', [1], [length])]);
  }
}
