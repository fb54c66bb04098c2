/**
 * Writes a plan into the graph: QuantizeLinear and DequantizeLinear around every quantized value let a runtime choose
 * its integer kernels.
 */
import { elementAt, entryOf, inputName, outputName } from '../../../ir/checked-access.ts';
import { freshNames, makeNode, removeUnusedInitializers, topologicalOrder } from '../../../ir/edit.ts';
import { sumOrders } from '../../../graph/saturation.ts';
import { fromHost, toHost } from '../../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../../ir/types.ts';
import { constant, scaleTensor } from '../graph-parts.ts';
import { affineOf, RANGES, type Affine, type ValueRange } from '../../../weights/affine.ts';
import type { QuantizeParameters } from '../spec.ts';
import { weightAxes } from '../../../weights/weight-axes.ts';
import { quantizeWeight, type WeightScheme } from '../../../weights/quantize-weight.ts';
import { biasOf, gemmAlpha, type PlannedNode, type StaticPlan } from './plan.ts';

/** Limit of a bias's codes, which leaves room in 32 bits for the sums of products. */
const MAX_BIAS = 2 ** 30;

type Settings = Pick<QuantizeParameters, 'activations' | 'perChannel' | 'symmetric' | 'reduceRange'> & {
  /** The file may run on processors that add products with saturation (targets.ts). */
  readonly mayRunSaturating: boolean;
};

/** `ranges`: of every value that determines a scale. */
export function writePlan(
  model: Model,
  plan: StaticPlan,
  ranges: ReadonlyMap<string, ValueRange>,
  settings: Settings,
): Model {
  const writer = new PlanWriter(model, plan, ranges, settings);
  return { ...model, graph: writer.write() };
}

class PlanWriter {
  private readonly graph: Graph;
  private readonly fresh: (base: string) => string;
  private readonly affines: ReadonlyMap<string, Affine>;
  private readonly nodes: Node[] = [];
  private readonly tensors: Map<string, Tensor>;
  /** Values computed by quantized nodes: all their readers take the quantized form. */
  private readonly inner: ReadonlySet<string>;
  private readonly parameterNames = new Map<string, { scale: string; zero: string }>();
  private readonly dequantizedNames = new Map<string, string>();

  private readonly plan: StaticPlan;
  private readonly settings: Settings;

  constructor(model: Model, plan: StaticPlan, ranges: ReadonlyMap<string, ValueRange>, settings: Settings) {
    this.plan = plan;
    this.settings = settings;
    this.graph = model.graph;
    this.fresh = freshNames(model);
    this.tensors = new Map(model.graph.initializers);
    this.inner = new Set(
      [...plan.nodes.values()].filter(({ quantizesOutput }) => quantizesOutput).map(({ output }) => output),
    );
    this.affines = new Map([...ranges].map(([name, range]) => [name, affineOf(range, RANGES[settings.activations])]));
  }

  write(): Graph {
    for (const name of this.plan.scaleOf.keys()) if (!this.inner.has(name)) this.quantizeOuter(name);
    const kernels = this.writeKernels();
    for (const node of this.graph.nodes) {
      const planned = this.plan.nodes.get(node);
      if (planned) this.writeNode(planned, kernels);
      else if (!this.plan.removed.has(node)) this.nodes.push(node);
    }
    const gone = new Set([...this.plan.removed].map((clamp) => inputName(clamp))); // inputs of removed clamps
    const graph: Graph = {
      ...this.graph,
      initializers: this.tensors,
      nodes: this.nodes,
      inputs: this.graph.inputs.filter(({ name }) => !kernels.has(name)),
      valueInfos: this.graph.valueInfos.filter(({ name }) => !gone.has(name)),
    };
    return removeUnusedInitializers({ ...graph, nodes: topologicalOrder(graph) });
  }

  /** Scale and zero point of an activation; values that share a scale share the tensors. */
  private parametersOf(value: string): { scale: string; zero: string } {
    const root = this.scaleSource(value);
    let names = this.parameterNames.get(root);
    if (!names) {
      const { scale, zeroPoint } = entryOf(this.affines, root, 'range of');
      const prefix = `a${this.parameterNames.size}`;
      names = { scale: this.fresh(`${prefix}_scale`), zero: this.fresh(`${prefix}_zero_point`) };
      this.tensors.set(names.scale, constant(names.scale, 'float32', [], [scale]));
      this.tensors.set(names.zero, constant(names.zero, this.settings.activations, [], [zeroPoint]));
      this.parameterNames.set(root, names);
    }
    return names;
  }

  private scaleSource(value: string): string {
    return entryOf(this.plan.scaleOf, value, 'quantized activation');
  }

  private scaleOf(value: string): number {
    return entryOf(this.affines, this.scaleSource(value), 'range of').scale;
  }

  private roundTrip(from: string, to: string, value: string): void {
    const { scale, zero } = this.parametersOf(value);
    const codes = this.fresh(`q${this.nodes.length}`);
    this.nodes.push(makeNode('QuantizeLinear', [from, scale, zero], [codes], {}, { name: '' }));
    this.nodes.push(makeNode('DequantizeLinear', [codes, scale, zero], [to], {}, { name: '' }));
  }

  /** A value computed in float: float operators keep reading it, quantized nodes read its quantized form. */
  private quantizeOuter(name: string): void {
    const dequantized = this.fresh(`d${this.nodes.length}`);
    this.dequantizedNames.set(name, dequantized);
    this.roundTrip(name, dequantized, name);
  }

  private writeNode(
    { node, activations, kernel, bias, output, quantizesOutput }: PlannedNode,
    kernels: ReadonlyMap<string, Kernel>,
  ): void {
    const inputs = node.inputs.map((name, i) =>
      activations.includes(i) ? (this.dequantizedNames.get(name) ?? name) : name,
    );
    if (kernel !== null) {
      const written = entryOf(kernels, inputName(node, kernel), 'kernel');
      inputs[kernel] = written.name;
      if (bias !== null && node.inputs[bias]) inputs[bias] = this.writeBias(node, inputName(node, bias), written);
    }
    const computed = quantizesOutput ? this.fresh(`f${this.nodes.length}`) : outputName(node);
    this.nodes.push({ ...withoutFactors(node), inputs, outputs: [computed, ...node.outputs.slice(1)] });
    if (quantizesOutput) this.roundTrip(computed, output, output);
  }

  /** Codes of each kernel; nodes that share one share its codes. */
  private writeKernels(): Map<string, Kernel> {
    const users = new Map<string, PlannedNode[]>();
    for (const planned of this.plan.nodes.values()) {
      if (planned.kernel === null) continue;
      const name = inputName(planned.node, planned.kernel);
      users.set(name, [...(users.get(name) ?? []), planned]);
    }
    return new Map([...users].map(([name, planned]) => [name, this.writeKernel(name, planned)]));
  }

  private writeKernel(name: string, users: readonly PlannedNode[]): Kernel {
    const original = entryOf(this.graph.initializers, name, 'kernel');
    const alpha = gemmAlpha(elementAt(users, 0, 'user of a kernel').node);
    const weight = alpha === 1 ? original : scaled(original, alpha);
    const axis = this.settings.perChannel ? channelAxis(users, original) : null;
    const scheme: WeightScheme = {
      type: 'int8',
      symmetric: this.settings.symmetric,
      channelAxis: axis,
      reduceRange: this.settings.reduceRange,
      sums: this.settings.mayRunSaturating ? users.flatMap(({ node }) => sumOrders(node, original.dims)) : [],
      minScale: this.minScale(users, axis === null),
    };
    const { codes, affines } = quantizeWeight(weight, scheme);
    const prefix = `w${this.nodes.length}`;
    const names = {
      codes: this.fresh(`${prefix}_int8`),
      scale: this.fresh(`${prefix}_scale`),
      zero: this.fresh(`${prefix}_zero_point`),
    };
    const dims = axis === null ? [] : [affines.length];
    this.tensors.delete(name);
    this.tensors.set(names.codes, fromHost(names.codes, { dtype: 'int8', dims: original.dims, data: codes }));
    this.tensors.set(names.scale, scaleTensor(names.scale, affines, dims));
    this.tensors.set(
      names.zero,
      constant(
        names.zero,
        'int8',
        dims,
        affines.map(({ zeroPoint }) => zeroPoint),
      ),
    );
    this.nodes.push(
      makeNode('DequantizeLinear', [names.codes, names.scale, names.zero], [name], axis === null ? {} : { axis }, {
        name: '',
      }),
    );
    return { name, affines };
  }

  /**
   * A bias has the scale (activation scale x weight scale); a channel of tiny weights gets a larger scale so that its
   * bias fits.
   */
  private minScale(users: readonly PlannedNode[], oneScale: boolean): (channel: number) => number {
    const needs = users.map(({ node }) =>
      (biasOf(node, this.graph) ?? []).map((value) => Math.abs(value) / (this.scaleOf(inputName(node)) * MAX_BIAS)),
    );
    if (oneScale)
      return () => Math.max(0, ...needs.map((need) => need.reduce((most, value) => Math.max(most, value), 0)));
    return (channel) => Math.max(0, ...needs.map((need) => need[channel] ?? 0));
  }

  private writeBias(node: Node, bias: string, kernel: Kernel): string {
    const values = biasOf(node, this.graph) ?? [];
    const activation = this.scaleOf(inputName(node));
    const scales = kernel.affines.map(({ scale }) => Math.fround(activation * scale));
    const scaleOf = (channel: number) => elementAt(scales, scales.length === 1 ? 0 : channel, 'scale');
    const codes = values.map((value, channel) => Math.round(value / scaleOf(channel)));
    const prefix = `b${this.nodes.length}`;
    const names = {
      codes: this.fresh(`${prefix}_int32`),
      scale: this.fresh(`${prefix}_scale`),
      output: this.fresh(prefix),
    };
    this.tensors.set(names.codes, constant(names.codes, 'int32', [values.length], codes));
    this.tensors.set(names.scale, constant(names.scale, 'float32', scales.length === 1 ? [] : [scales.length], scales));
    this.nodes.push(
      makeNode('DequantizeLinear', [names.codes, names.scale], [names.output], scales.length === 1 ? {} : { axis: 0 }, {
        name: '',
      }),
    );
    return names.output;
  }
}

/** The axis of output channels that all users agree on, else null. */
function channelAxis(users: readonly PlannedNode[], { dims }: Tensor): number | null {
  const [axis = null, ...others] = new Set(
    users.map(({ node, kernel }) =>
      kernel === null ? null : (weightAxes(node, kernel, dims.length)?.channel ?? null),
    ),
  );
  return others.length === 0 ? axis : null;
}

interface Kernel {
  readonly name: string;
  readonly affines: readonly Affine[];
}

function scaled(tensor: Tensor, factor: number): Tensor {
  const data = Float32Array.from(toHost(tensor).data as Float32Array, (value) => value * factor);
  return fromHost(tensor.name, { dtype: 'float32', dims: tensor.dims, data });
}

/** Gemm's factors are now in its kernel and bias. */
function withoutFactors(node: Node): Node {
  if (node.opType !== 'Gemm') return node;
  const attributes = new Map(node.attributes);
  attributes.delete('alpha');
  attributes.delete('beta');
  return { ...node, attributes };
}
