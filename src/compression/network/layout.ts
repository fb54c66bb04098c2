/**
 * The layout pass: which nodes compute with channels last.
 *
 * TensorFlow's CPU kernels take channels last only, ONNX has channels first. Operators on images always run channels
 * last; operators that follow (elementwise ones) take the layout of most of their operands; all others need ONNX order.
 * A run transposes a value at most once, however many instructions read it in the other layout.
 */
import type { TypeTable } from '../graph/infer.ts';
import type { Graph, Node, TensorType } from '../ir/types.ts';
import type { Layout, LayoutRule, Operator } from '../operators/operator.ts';
import { movesNothing } from '../operators/device/layouts.ts';

/** A node that needs a layout. */
export interface Placed {
  readonly node: Node;
  readonly operator: Operator;
  /** Inferred types of the outputs; null where unknown. */
  readonly outputTypes: readonly (TensorType | null)[];
}

export interface LayoutPlan {
  readonly layouts: readonly Layout[];
  /** Values that a run transposes from one layout to the other. */
  readonly transposes: number;
}

/** @param given layouts that are decided already: what the planner counts then is their transposes */
export function planLayouts(
  graph: Graph,
  nodes: readonly Placed[],
  types: TypeTable,
  given?: readonly Layout[],
): LayoutPlan {
  const planner = new Planner(types, new Set(graph.initializers.keys()));
  const layouts = nodes.map((placed, i) => planner.place(placed, given?.[i]));
  for (const { name } of graph.outputs) planner.need(name, 'onnx');
  return { layouts, transposes: planner.moved.size };
}

class Planner {
  readonly moved = new Set<string>();
  private readonly produced = new Map<string, Layout>();
  private readonly types: TypeTable;
  private readonly constants: ReadonlySet<string>;

  constructor(types: TypeTable, constants: ReadonlySet<string>) {
    this.types = types;
    this.constants = constants;
  }

  place(placed: Placed, given?: Layout): Layout {
    const { node, operator } = placed;
    const rule = operator.layout;
    const layout = given ?? (rule.kind === 'follows' ? this.follow(placed, rule) : rule.kind);
    node.inputs.forEach((name, i) =>
      this.need(
        name,
        layout === 'channels-last' && takesLayout(rule, i) ? 'channels-last' : 'onnx',
        readsNothing(rule),
      ),
    );
    node.outputs.forEach((name, i) =>
      this.produced.set(
        name,
        layout === 'channels-last' && givesLayout(rule, i) && this.rank(name) !== 2 ? 'channels-last' : 'onnx',
      ),
    );
    return layout;
  }

  /** Notes that a value is read in a layout. */
  need(name: string, layout: Layout, unread = false): void {
    if (unread || name === '' || this.constants.has(name)) return;
    if (!this.moves(name)) return;
    if ((this.produced.get(name) ?? 'onnx') !== layout) this.moved.add(name);
  }

  /** The layout that moves fewer operands; ONNX order where ranks are unknown or differ from the output's. */
  private follow({ node, outputTypes }: Placed, rule: LayoutRule & { kind: 'follows' }): Layout {
    const names = node.inputs.filter((name, i) => name !== '' && takesLayout(rule, i));
    const ranks = names.map((name) => this.rank(name));
    const rank = Math.max(0, ...ranks.map((r) => r ?? 0));
    if (rank < 3 || ranks.includes(undefined)) return 'onnx';
    const outputs = outputTypes.map((type) => (type ? type.shape?.length : 0));
    if (outputs.some((r) => r === undefined || (r >= 3 && r !== rank))) return 'onnx';
    let last = 0;
    let onnx = 0;
    for (const name of names) {
      if (this.rank(name) !== rank || this.constants.has(name)) continue;
      if ((this.produced.get(name) ?? 'onnx') === 'channels-last') last++;
      else if (this.moves(name)) onnx++;
    }
    return last > onnx || (last > 0 && last === onnx) ? 'channels-last' : 'onnx';
  }

  private rank(name: string): number | undefined {
    return this.types.typeOf(name)?.shape?.length;
  }

  /** Whether changing the layout moves elements at all. */
  private moves(name: string): boolean {
    const shape = this.types.typeOf(name)?.shape;
    return !shape || (shape.length >= 3 && !movesNothing(shape));
  }
}

/** The input is given in the node's layout. */
export function takesLayout(rule: LayoutRule, input: number): boolean {
  if (rule.kind === 'onnx') return false;
  if (rule.kind === 'channels-last') return rule.inputs.includes(input);
  return rule.inputs?.includes(input) ?? true;
}

/** The output comes in the node's layout. */
export function givesLayout(rule: LayoutRule, output: number): boolean {
  return rule.kind === 'follows' || (rule.kind === 'channels-last' && rule.outputs.includes(output));
}

/** Asks for nothing but shapes. */
function readsNothing(rule: LayoutRule): boolean {
  return rule.kind === 'follows' && rule.inputs?.length === 0;
}
