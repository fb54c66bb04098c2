/** Computes values that depend on constants alone, by the exact host form of a few operators. */
import { findOperator } from '../operators/registry.ts';
import { broadcastDims } from '../operators/host/offsets.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import { NodeView, type InputFacts } from '../ir/node-info.ts';
import { elementAt } from '../ir/checked-access.ts';
import { elementCount, hostNumbers, toHost } from '../ir/tensor-data.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';

/** Opset of the operators used; those evaluated must mean the same in every opset from 11 on. */
const OPSET = 17;
/** Longest chain of nodes that is followed. */
const MAX_DEPTH = 24;

export interface EvaluatorOptions {
  /** Operators of ONNX's own domain that are evaluated. */
  readonly operators: ReadonlySet<string>;
  /** Largest value that is computed, in elements. */
  readonly maxElements: number;
  /** Constants of the graphs around this one. */
  readonly outer: (name: string) => Tensor | undefined;
}

export class Evaluator {
  private readonly graph: Graph;
  private readonly options: EvaluatorOptions;
  private readonly producers: ReadonlyMap<string, Node>;
  private readonly known = new Map<string, HostTensor | null>();

  constructor(graph: Graph, options: EvaluatorOptions) {
    this.graph = graph;
    this.options = options;
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name): [string, Node] => [name, node])));
  }

  /** null where the value depends on a graph input or another operator, or is too large. */
  value(name: string, depth = 0): HostTensor | null {
    let value = this.known.get(name);
    if (value === undefined) this.known.set(name, (value = this.compute(name, depth)));
    return value;
  }

  /** Frees the computed values. */
  forget(): void {
    this.known.clear();
  }

  /** Adds the nodes that compute the value from constants. */
  collectChain(name: string, chain: Set<Node>): void {
    const node = this.producers.get(name);
    if (!node || chain.has(node)) return;
    chain.add(node);
    for (const input of node.inputs) this.collectChain(input, chain);
  }

  private compute(name: string, depth: number): HostTensor | null {
    const node = this.producers.get(name);
    if (node) return depth < MAX_DEPTH ? this.run(node, depth) : null;
    const tensor = this.graph.initializers.get(name) ?? this.options.outer(name);
    return tensor ? toHost(tensor) : null;
  }

  private run(node: Node, depth: number): HostTensor | null {
    const operator =
      node.domain === '' && this.options.operators.has(node.opType) ? findOperator('', node.opType, OPSET) : undefined;
    if (!operator?.host || node.outputs.length !== 1) return null;
    const inputs = node.inputs.map((name) => (name === '' ? null : this.value(name, depth + 1)));
    if (inputs.some((input, i) => input === null && node.inputs[i] !== '')) return null;
    try {
      if (sizeOf(node, inputs) > this.options.maxElements) return null;
      return operator.host(inputs, new NodeView(node, OPSET, factsOf(node, inputs)))[0] ?? null;
    } catch {
      return null; // inputs that contradict the operator: shape inference reports them
    }
  }
}

/** Upper bound on the result's elements; 0 where an input has at least as many. */
function sizeOf({ opType }: Node, inputs: readonly (HostTensor | null)[]): number {
  const given = inputs.filter((input) => input !== null);
  if (opType === 'ConstantOfShape') return elementCount(hostNumbers(elementAt(given, 0, 'input')));
  return opType === 'BitShift' || opType === 'Add' ? elementCount(broadcastDims(...given.map(({ dims }) => dims))) : 0;
}

function factsOf(node: Node, inputs: readonly (HostTensor | null)[]): InputFacts {
  const byName = new Map(node.inputs.map((name, i) => [name, inputs[i] ?? null]));
  return {
    typeOf: (name) => {
      const value = byName.get(name);
      return value ? { dtype: value.dtype, shape: value.dims } : null;
    },
    constantOf: (name) => byName.get(name) ?? null,
    elementsOf: () => null,
  };
}
