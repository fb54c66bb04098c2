/** The layers of a model that can be factorized. */
import { indexGraph } from '../../ir/edit.ts';
import { elementCount, isFloat } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';

export type Layer =
  | { readonly kind: 'matrix'; readonly node: Node; readonly weight: Tensor; readonly isTransposed: boolean }
  | { readonly kind: 'convolution'; readonly node: Node; readonly weight: Tensor };

/**
 * In the order of the main graph. Leaves out weights that several nodes share, and pruned ones: products of factors
 * keep no zeros.
 */
export function factorizableLayers({ graph }: Model, frozenZeros: ReadonlySet<string>): Layer[] {
  const { consumers, outputs } = indexGraph(graph);
  return graph.nodes.flatMap((node): Layer[] => {
    const weight = graph.initializers.get(node.inputs[1] ?? '');
    if (node.domain !== '' || !weight || !isFloat(weight.dtype) || elementCount(weight.dims) === 0) return [];
    if ((consumers.get(weight.name) ?? []).length > 1 || outputs.has(weight.name) || frozenZeros.has(weight.name))
      return [];
    const layer = layerOf(node, weight);
    return layer ? [layer] : [];
  });
}

function layerOf(node: Node, weight: Tensor): Layer | null {
  const rank = weight.dims.length;
  switch (node.opType) {
    case 'MatMul':
      return rank === 2 ? { kind: 'matrix', node, weight, isTransposed: false } : null;
    case 'Gemm':
      return rank === 2 && isPlainGemm(node)
        ? { kind: 'matrix', node, weight, isTransposed: intOf(node, 'transB', 0) !== 0 }
        : null;
    case 'Conv':
      return rank >= 3 && intOf(node, 'group', 1) === 1 ? { kind: 'convolution', node, weight } : null;
    default:
      return null;
  }
}

function isPlainGemm(node: Node): boolean {
  const alpha = node.attributes.get('alpha');
  return intOf(node, 'transA', 0) === 0 && (alpha?.kind !== 'float' || alpha.value === 1);
}

function intOf(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? attribute.value : fallback;
}
