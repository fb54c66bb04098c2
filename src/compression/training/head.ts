/**
 * Finds whether a graph's output ends in Softmax, LogSoftmax or Sigmoid. The loss is then computed on the activation's
 * input (logits), which is stable where log(softmax(x)) underflows.
 */
import { inputName } from '../ir/checked-access.ts';
import { indexGraph } from '../ir/edit.ts';
import type { Graph, Model, Node } from '../ir/types.ts';

/**
 * `none`: no activation found; the output itself is the scores. `probabilities`, `probability`: no activation found,
 * but the values (training-setup.ts samples some) look like those of a softmax or a sigmoid.
 */
export type Activation = 'none' | 'softmax' | 'log-softmax' | 'sigmoid' | 'probabilities' | 'probability';

export interface Head {
  readonly output: string;
  readonly activation: Activation;
  /** The value that holds the scores: the activation's input, else the output itself. */
  readonly scores: string;
  /** Axis of the classes in `scores` (may be negative); meaningless for `sigmoid` and `none`. */
  readonly axis: number;
}

/** Nodes that change only shape or type; an activation may precede them. */
const TRANSPARENT: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);
const NO_AXIS = -1;

export function findHead(model: Model, output: string): Head {
  const node = activationBefore(model.graph, output);
  const plain: Head = { output, activation: 'none', scores: output, axis: NO_AXIS };
  if (!node) return plain;
  const scores = inputName(node);
  if (node.opType === 'Sigmoid') return { output, activation: 'sigmoid', scores, axis: NO_AXIS };
  const axis = softmaxAxis(model, node);
  return axis === null
    ? plain
    : { output, activation: node.opType === 'Softmax' ? 'softmax' : 'log-softmax', scores, axis };
}

function activationBefore(graph: Graph, output: string): Node | null {
  const { producer } = indexGraph(graph);
  let node = producer.get(output);
  while (node && node.domain === '' && TRANSPARENT.has(node.opType)) node = producer.get(inputName(node));
  if (node?.opType === 'Log' && node.domain === '') return logOfSoftmax(node, producer);
  return node && node.domain === '' && ['Softmax', 'LogSoftmax', 'Sigmoid'].includes(node.opType) ? node : null;
}

/** Log(Softmax(x)) is a LogSoftmax in two nodes. */
function logOfSoftmax(log: Node, producer: ReadonlyMap<string, Node>): Node | null {
  const inner = producer.get(inputName(log));
  return inner?.opType === 'Softmax' && inner.domain === '' ? { ...inner, opType: 'LogSoftmax' } : null;
}

/**
 * Before opset 13 Softmax flattens all axes from `axis` on: equivalent only if that is a single axis; null if it may
 * not be.
 */
function softmaxAxis(model: Model, node: Node): number | null {
  const attribute = node.attributes.get('axis');
  const given = attribute?.kind === 'int' ? attribute.value : undefined;
  if ((model.opsets.get('') ?? 1) >= 13) return given ?? -1;
  const rank = knownRank(model.graph, node);
  const axis = given ?? 1;
  if (axis === -1 || rank === null) return axis === 1 || axis === -1 ? -1 : null;
  return axis === rank - 1 ? axis : null;
}

function knownRank(graph: Graph, node: Node): number | null {
  const names = new Set([...node.inputs, ...node.outputs]);
  const info = [...graph.valueInfos, ...graph.outputs].find(({ name, type }) => names.has(name) && type?.shape);
  return info?.type?.shape?.length ?? null;
}
