/**
 * Labels every axis of every value with units (units.ts) by the operators' channel rules. Where no rule applies, all
 * channels stay: inputs and outputs of the model, operators without a rule, values that subgraphs read.
 */
import type { ChannelRule, Coupling, ValueUnits } from '../../operators/channels/rule.ts';
import { constantTensor } from '../../ir/constants.ts';
import { topologicalOrder, usedNames } from '../../ir/edit.ts';
import { nodeLabel, printable } from '../../ir/graph-error.ts';
import { inferShapes, type TypeTable } from '../infer.ts';
import { settingsOf } from '../../ir/settings.ts';
import { isFloat } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';
import { Units, type AxisUnits } from '../../operators/channels/units.ts';

/**
 * A constant at one input of one node. Small constants are labelled per use, so that layers which happen to share zeros
 * are not tied.
 */
export interface ConstantUse {
  readonly tensor: Tensor;
  readonly node: Node;
  readonly input: number;
  readonly units: ValueUnits;
}

export interface ChannelMap {
  readonly units: Units;
  readonly types: TypeTable;
  /** Labels by value; null where the rank is unknown. */
  readonly values: ReadonlyMap<string, ValueUnits | null>;
  readonly constants: readonly ConstantUse[];
  /** Axes of channels that weights compute; their units can be removed. */
  readonly made: ReadonlySet<Int32Array>;
  unitsOf(node: Node, input: number): ValueUnits;
}

export function coupleChannels(model: Model): ChannelMap {
  return new Walk(model).run();
}

class Walk {
  private readonly units = new Units();
  private readonly values = new Map<string, ValueUnits | null>();
  private readonly tensors = new Map<string, Tensor>();
  private readonly shared = new Map<string, ValueUnits>();
  private readonly uses = new Map<Node, Map<number, ConstantUse>>();
  private readonly made = new Set<Int32Array>();
  private readonly weights = new Set<string>();
  private readonly settings: ReadonlySet<string>;
  private readonly model: Model;
  private readonly types: TypeTable;

  constructor(model: Model) {
    this.model = model;
    this.types = inferShapes(model);
    this.settings = settingsOf(model);
    for (const tensor of model.graph.initializers.values()) this.setConstant(tensor);
  }

  run(): ChannelMap {
    for (const { name } of this.model.graph.inputs)
      if (!this.tensors.has(name)) this.values.set(name, this.whole(name));
    for (const node of topologicalOrder(this.model.graph)) {
      const constant = constantTensor(node);
      if (constant) this.setConstant(constant);
      else this.visit(node);
    }
    for (const { name } of this.model.graph.outputs) {
      this.units.cause = `output "${printable(name)}"`;
      this.freezeValue(name);
    }
    const { units, types, values, made } = this;
    return {
      units,
      types,
      values,
      made,
      constants: [...this.uses.values()].flatMap((uses) => [...uses.values()]),
      unitsOf: (node, input) => this.unitsOf(node, input) ?? [],
    };
  }

  private setConstant(tensor: Tensor): void {
    this.tensors.set(tensor.name, tensor);
    this.weights.add(tensor.name);
  }

  private visit(node: Node): void {
    this.units.cause = nodeLabel(node);
    const rule = this.types.operator(node)?.channels;
    const outputs = rule ? this.couple(node, rule) : [];
    for (const name of usedNames(node)) if (!rule || !node.inputs.includes(name)) this.freezeValue(name);
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      this.values.set(name, this.fitting(name, outputs[i] ?? null));
      if (node.inputs.length > 0 && node.inputs.every((input) => input === '' || this.weights.has(input)))
        this.weights.add(name);
    });
  }

  private couple(node: Node, rule: ChannelRule): readonly (ValueUnits | null)[] {
    const read = new Set<number>();
    const outputs = rule.couple(this.coupling(node, read));
    node.inputs.forEach((name, input) => {
      if (name !== '' && !read.has(input))
        for (const axis of this.unitsOf(node, input) ?? []) this.units.freezeAxis(axis);
    });
    return outputs;
  }

  private coupling(node: Node, read: Set<number>): Coupling {
    const { units, types } = this;
    return {
      info: types.info(node),
      input: (index) => {
        read.add(index);
        return this.unitsOf(node, index);
      },
      output: (index) => types.typeOf(node.outputs[index] ?? ''),
      isWeight: (index) => this.weights.has(node.inputs[index] ?? ''),
      fresh: (size) => units.fresh(size),
      unite: (a, b) => {
        units.unite(a, b);
      },
      same: (a, b) => units.uniteAxes(a, b),
      freeze: (axis) => {
        units.freezeAxis(axis);
      },
      freezeUnit: (unit) => {
        units.freeze(unit);
      },
      representative: (unit) => units.find(unit),
      makes: (axis) => {
        if (axis) this.made.add(axis);
      },
    };
  }

  private unitsOf(node: Node, input: number): ValueUnits | null {
    const name = node.inputs[input] ?? '';
    const tensor = this.values.has(name) ? undefined : this.tensors.get(name);
    return tensor ? this.useOf(tensor, node, input).units : (this.values.get(name) ?? null);
  }

  private useOf(tensor: Tensor, node: Node, input: number): ConstantUse {
    const uses = this.uses.get(node) ?? new Map<number, ConstantUse>();
    this.uses.set(node, uses);
    const known = uses.get(input);
    if (known) return known;
    const use = { tensor, node, input, units: this.constantUnits(tensor) };
    uses.set(input, use);
    return use;
  }

  private constantUnits(tensor: Tensor): ValueUnits {
    if (tensor.dims.length < 2) return this.ofConstant(tensor);
    if (this.settings.has(tensor.name) && tensor.dims.filter((size) => size > 1).length > 1)
      return tensor.dims.map(() => null); // a filter bank is not learned
    const units = this.shared.get(tensor.name) ?? this.ofConstant(tensor);
    this.shared.set(tensor.name, units);
    return units;
  }

  /** A constant can be cut along any axis. */
  private ofConstant(tensor: Tensor): ValueUnits {
    return tensor.dims.map((size): AxisUnits => (isFloat(tensor.dtype) ? this.units.fresh(size) : null));
  }

  /** A value that keeps all its channels. */
  private whole(name: string): ValueUnits | null {
    return this.types.typeOf(name)?.shape?.map(() => null) ?? null;
  }

  /** Labels that contradict the inferred shape are not used. */
  private fitting(name: string, labels: ValueUnits | null): ValueUnits | null {
    const shape = this.types.typeOf(name)?.shape;
    if (!labels || !shape || labels.length !== shape.length) {
      for (const axis of labels ?? []) this.units.freezeAxis(axis);
      return this.whole(name);
    }
    return labels.map((axis, i) => {
      if (!axis || axis.length === shape[i]) return axis;
      this.units.freezeAxis(axis);
      return null;
    });
  }

  /** Drops the labels of this use of a constant that is labelled per use: others may still cut their own part. */
  private freezeValue(name: string): void {
    const tensor = this.values.has(name) ? undefined : this.tensors.get(name);
    const labels = tensor ? (tensor.dims.length < 2 ? [] : this.constantUnits(tensor)) : (this.values.get(name) ?? []);
    for (const axis of labels) this.units.freezeAxis(axis);
  }
}
