/**
 * Exporters store equal constants once: a fresh BatchNormalization's scale and running variance (all ones), its shift
 * and running mean (all zeros), and those of every similar layer. Training changes them separately, so each running
 * statistic gets its own copy.
 */
import { constantTensor } from '../../ir/constants.ts';
import { elementAt, inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, indexGraph, removeUnusedInitializers, type GraphIndex, type Use } from '../../ir/edit.ts';
import { settingsOf } from '../../ir/settings.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';

/** A copy of a shared constant, for the uses that stay together. */
export interface Copy {
  readonly name: string;
  readonly origin: Tensor;
  /** Position in the main graph's list of nodes, and the input. */
  readonly uses: readonly { readonly node: number; readonly input: number }[];
}

/** Inputs of BatchNormalization. */
const ROLES: readonly string[] = ['', 'scale', 'shift', 'mean', 'variance'];
const [MEAN, VARIANCE] = [3, 4];

/**
 * Copies for constants of the main graph that are a running statistic and have another use as well. Weights shared in
 * other ways are tied and stay so; settings (ir/settings.ts) are not trained.
 */
export function sharedStatistics(model: Model): Copy[] {
  const { graph } = model;
  const { consumers } = indexGraph(graph);
  const positions = new Map(graph.nodes.map((node, i) => [node, i]));
  const settings = settingsOf(model);
  const fresh = freshNames(model);
  return constantsIn(graph)
    .filter(({ name }) => !settings.has(name))
    .flatMap((origin) => {
      const groups = grouped(usesOf(origin.name, consumers));
      if (groups.length < 2 || !groups.flat().some(isStatistic)) return [];
      return groups.map((uses) => ({
        name: fresh(nameOf(origin, elementAt(uses, 0, 'use'))),
        origin,
        uses: uses.flatMap(({ node, input }) => {
          const position = positions.get(node);
          return position === undefined ? [] : [{ node: position, input }];
        }),
      }));
    });
}

const nameOf = ({ name }: Tensor, { node, input }: Use): string => `${name}.${node.outputs[0]}.${roleOf(node, input)}`;

/**
 * Uses by nodes of the main graph, also behind an Identity, by which PyTorch gives one constant two names.
 */
function usesOf(name: string, consumers: GraphIndex['consumers']): Use[] {
  return (consumers.get(name) ?? []).flatMap(({ node, input }) => {
    if (isIdentity(node)) return usesOf(outputName(node), consumers);
    return input < 0 ? [] : [{ node, input }];
  });
}

const isIdentity = ({ opType, domain }: Node): boolean => opType === 'Identity' && domain === '';

function constantsIn({ initializers, nodes }: Graph): Tensor[] {
  return [...initializers.values(), ...nodes.flatMap((node) => constantTensor(node) ?? [])];
}

/**
 * Groups uses that are one weight. A layer that is applied twice has the same four names in both places; where two of a
 * layer's constants share a name, the names do not identify the layer, and each layer counts on its own.
 */
function grouped(uses: readonly Use[]): Use[][] {
  const groups = new Map<string, Use[]>();
  for (const use of uses) {
    const { node, input } = use;
    const names = node.inputs.slice(1);
    const layer = new Set(names).size === names.length ? names.join('\n') : node.outputs[0];
    const key = isNormalization(node) ? `${layer}\n${input}` : inputName(node, input);
    groups.set(key, [...(groups.get(key) ?? []), use]);
  }
  return [...groups.values()];
}

const isNormalization = ({ opType, domain }: Node): boolean => opType === 'BatchNormalization' && domain === '';
const isStatistic = ({ node, input }: Use): boolean => isNormalization(node) && (input === MEAN || input === VARIANCE);
const roleOf = (node: Node, input: number): string =>
  isNormalization(node) ? elementAt(ROLES, input, 'input of BatchNormalization') : String(input);

/**
 * The model in which these uses read their copies, with the origin's value or one of `values`. Drops constants that are
 * no longer read.
 */
export function withCopies(
  model: Model,
  copies: readonly Copy[],
  values: ReadonlyMap<string, Tensor> = new Map(),
): Model {
  if (copies.length === 0) return model;
  const nodes = [...model.graph.nodes];
  const initializers = new Map(model.graph.initializers);
  for (const { name, origin, uses } of copies) {
    for (const { node, input } of uses) {
      const reader = elementAt(nodes, node, 'node');
      nodes[node] = { ...reader, inputs: reader.inputs.map((old, i) => (i === input ? name : old)) };
    }
    initializers.set(name, values.get(name) ?? { ...origin, name });
  }
  const graph = declared({ ...model.graph, nodes, initializers }, copies, model.irVersion);
  return {
    ...model,
    graph: removeUnusedInitializers(withoutUnusedSources(graph, new Set(copies.map(({ origin }) => origin.name)))),
  };
}

/** Without the Constant and Identity nodes that led an origin's value to the uses that now have copies. */
function withoutUnusedSources(graph: Graph, origins: ReadonlySet<string>): Graph {
  const { consumers, outputs } = indexGraph(graph);
  const nodes = graph.nodes.filter((node) => {
    const [name = ''] = node.outputs;
    const [source = ''] = node.inputs;
    const leads = origins.has(name) || (isIdentity(node) && origins.has(source));
    return !leads || consumers.has(name) || outputs.has(name);
  });
  return nodes.length === graph.nodes.length ? graph : withoutUnusedSources({ ...graph, nodes }, origins);
}

/** Up to IR version 3 every initializer is listed among the inputs. */
function declared(graph: Graph, copies: readonly Copy[], irVersion: number): Graph {
  if (irVersion > 3) return graph;
  const inputs = copies.map(({ name, origin }) => ({ name, type: { dtype: origin.dtype, shape: origin.dims } }));
  return { ...graph, inputs: [...graph.inputs, ...inputs] };
}
