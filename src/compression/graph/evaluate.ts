/** Values of a graph that follow from its constants by a few operators, computed by their exact host form. */
import { findOperator } from '../operators/registry.ts';
import { broadcastDims } from '../operators/host/offsets.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import { NodeView, type InputFacts } from '../ir/node-info.ts';
import { elementCount, hostNumbers, toHost } from '../ir/tensor-data.ts';
import type { Graph, Node, Tensor } from '../ir/types.ts';

/** The opset whose operators compute: what is evaluated must mean the same in all of them from 11 on. */
const OPSET = 17;
/** A chain of more nodes is not followed. */
const MAX_DEPTH = 24;

export interface EvaluatorOptions {
  /** Types of operators (of ONNX's own domain) that are followed. */
  readonly operators: ReadonlySet<string>;
  /** No value of more elements is computed. */
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

  /** null where the value depends on an input of the graph, on another operator, or is too large. */
  value(name: string, depth = 0): HostTensor | null {
    let value = this.known.get(name);
    if (value === undefined) this.known.set(name, (value = this.compute(name, depth)));
    return value;
  }

  /** Frees what has been computed. */
  forget(): void {
    this.known.clear();
  }

  /** Adds the nodes that make the value out of constants. */
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
      return null; // inputs that contradict the operator: whoever checks the graph will say so
    }
  }
}

/** Elements of the result, or more; 0 where they are no more than those of an input. */
function sizeOf({ opType }: Node, inputs: readonly (HostTensor | null)[]): number {
  if (opType === 'ConstantOfShape') return elementCount(hostNumbers(inputs[0]!));
  return opType === 'BitShift' || opType === 'Add'
    ? elementCount(broadcastDims(...inputs.map((input) => input!.dims)))
    : 0;
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
