/** Takes a convolution apart, and writes a chain of convolutions in its place. */
import { inputName, outputName } from '../../ir/checked-access.ts';
import { makeNode } from '../../ir/edit.ts';
import { fromHost, hostNumbers, hostOf, toHost } from '../../ir/tensor-data.ts';
import type { Attribute, Node, Tensor } from '../../ir/types.ts';
import type { LayerCost, Replacement } from './factorization.ts';

/** Kernel [outputs, inputs, ...size]. */
export interface Convolution {
  readonly node: Node;
  readonly weight: Tensor;
  readonly values: readonly number[];
  readonly outputs: number;
  readonly inputs: number;
  readonly size: readonly number[];
  readonly strides: readonly number[];
  readonly layer: LayerCost;
}

export function convolutionOf(node: Node, weight: Tensor): Convolution {
  const [outputs, inputs, ...size] = weight.dims as [number, number, ...number[]];
  const cost = outputs * inputs * product(size);
  return {
    node,
    weight,
    values: hostNumbers(toHost(weight)),
    outputs,
    inputs,
    size,
    strides: ints(node, 'strides') ?? size.map(() => 1),
    layer: { parameters: cost, macs: cost },
  };
}

export const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);

export function ints(node: Node, name: string): readonly number[] | null {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'ints' ? attribute.value : null;
}

export interface Link {
  readonly kernel: Tensor;
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** Chains convolutions; the last one gives the node's output and adds its bias. */
export function chain(node: Node, links: readonly Link[], fresh: (base: string) => string): Replacement {
  let input = inputName(node);
  const nodes = links.map(({ kernel: { name }, attributes }, i): Node => {
    const isLast = i === links.length - 1;
    const output = isLast ? outputName(node) : fresh(`${outputName(node)}_factor`);
    const made = {
      ...makeNode(
        'Conv',
        [input, name, ...(isLast ? node.inputs.slice(2) : [])],
        [output],
        {},
        { name: isLast ? node.name : output },
      ),
      attributes,
    };
    input = output;
    return made;
  });
  return { nodes, tensors: links.map((link) => link.kernel) };
}

export function kernel({ dtype }: Tensor, name: string, dims: readonly number[], values: Float32Array): Tensor {
  return fromHost(name, hostOf(dtype, dims, values));
}

export const pointSettings = (size: readonly number[]): ReadonlyMap<string, Attribute> =>
  new Map([['kernel_shape', { kind: 'ints', value: size.map(() => 1) }]]);

/** The node's settings; along one axis only, if it is given. */
export function settings(node: Node, size: readonly number[], only?: number): ReadonlyMap<string, Attribute> {
  const attributes = new Map<string, Attribute>(node.attributes).set('kernel_shape', {
    kind: 'ints',
    value: size.map((extent, axis) => (only === undefined || axis === only ? extent : 1)),
  });
  if (only === undefined) return attributes;
  for (const [name, neutral] of [
    ['strides', 1],
    ['dilations', 1],
    ['pads', 0],
  ] as const) {
    const given = ints(node, name);
    if (given)
      attributes.set(name, {
        kind: 'ints',
        value: given.map((value, i) => (i % size.length === only ? value : neutral)),
      });
  }
  return attributes;
}
