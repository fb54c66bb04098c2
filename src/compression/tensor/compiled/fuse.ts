/**
 * Operations of a recorded step that the engine's own kernels compute as one, with the same arithmetic bit by bit: the
 * fused operation does not wait for memory or a thread in between. Recorded steps run them one by one; only what is
 * compiled is fused.
 *
 * product or convolution -> (reshape) -> bias -> (ReLU);   gradient of ReLU -> gradient of the bias
 */
import { nth } from '../../ir/checked-access.ts';
import { tensorflow } from '../native/binding.ts';
import type { OpAttribute } from '../native/binding.ts';
import { nodeOf } from './program.ts';
import type { Program, ProgramOp, Reference } from './program.ts';

export function fuseProgram(program: Program): Program {
  const fusion = new Fusion(program);
  for (const node of program.ops.keys()) fusion.fuse(node);
  return fusion.result();
}

class Fusion {
  private readonly program: Program;
  private readonly ops: Map<string, ProgramOp>;
  /** The replacement of a reference whose operation was fused into another. */
  private readonly renamed = new Map<Reference, Reference>();
  private readonly users = new Map<Reference, string[]>();

  constructor(program: Program) {
    this.program = program;
    this.ops = new Map(program.ops);
    for (const [node, { inputs }] of program.ops) for (const input of inputs) this.addUser(input, node);
    for (const reference of [...program.results, ...program.updates.values()]) this.addUser(reference, '');
  }

  fuse(node: string): void {
    const op = this.ops.get(node);
    if (op?.name === 'BiasAdd') this.fuseBias(node, op);
    if (op?.name === 'ReluGrad') this.fuseReluGradient(node, op);
  }

  result(): Program {
    const resolve = (reference: Reference): Reference => this.renamed.get(reference) ?? reference;
    const ops = new Map([...this.ops].map(([node, op]) => [node, { ...op, inputs: op.inputs.map(resolve) }]));
    return {
      ...this.program,
      ops,
      results: this.program.results.map(resolve),
      updates: new Map([...this.program.updates].map(([variable, value]) => [variable, resolve(value)])),
    };
  }

  private fuseBias(node: string, { inputs }: ProgramOp): void {
    const [x, bias] = [nth(inputs, 0), nth(inputs, 1)];
    const before = this.onlyFor(x, 'Reshape');
    const producer = before ? nodeOf(nth(before.inputs, 0)) : nodeOf(x);
    const product = this.ops.get(producer);
    if (!product || this.users.get(`${producer}:0`)?.length !== 1) return;
    const relu = this.onlyUser(`${node}:0`, 'Relu');
    if (product.name === 'LatheConv' && !before) {
      this.ops.set(producer, { ...product, name: 'LatheConvBias', inputs: [...product.inputs, bias] });
      this.replace(node, x);
    } else if (product.name === 'LatheMatMul' && (!before || before.shapes[0]?.at(-1) === product.shapes[0]?.[1])) {
      this.ops.set(producer, {
        ...product,
        name: 'LatheDense',
        inputs: [...product.inputs, bias],
        attributes: [...product.attributes, reluAttribute(relu !== null)],
      });
      this.replace(node, x);
      if (relu !== null) this.replace(relu, x);
    }
  }

  private fuseReluGradient(node: string, op: ProgramOp): void {
    const gradient = this.users.get(`${node}:0`)?.find((user) => this.ops.get(user)?.name === 'LatheBiasGrad');
    if (gradient === undefined) return;
    const bias = this.ops.get(gradient)!;
    this.ops.set(node, {
      name: 'LatheReluBiasGrad',
      attributes: [],
      inputs: op.inputs,
      outputs: [...op.outputs, ...bias.outputs],
      shapes: [...op.shapes, ...bias.shapes],
    });
    this.replace(gradient, `${node}:1`);
  }

  /** The operation of this name that makes a value which nobody else reads. */
  private onlyFor(reference: Reference, name: string): ProgramOp | null {
    const op = this.ops.get(nodeOf(reference));
    return op?.name === name && this.users.get(reference)?.length === 1 ? op : null;
  }

  /** The node of this operation that alone reads a value. */
  private onlyUser(reference: Reference, name: string): string | null {
    const [user, ...others] = this.users.get(reference) ?? [];
    if (user === undefined || others.length > 0) return null;
    return this.ops.get(user)?.name === name ? user : null;
  }

  /** Drops an operation and replaces its result by another value. */
  private replace(node: string, reference: Reference): void {
    this.ops.delete(node);
    this.renamed.set(`${node}:0`, reference);
  }

  private addUser(reference: Reference, node: string): void {
    this.users.set(reference, [...(this.users.get(reference) ?? []), node]);
  }
}

function reluAttribute(value: boolean): OpAttribute {
  return { name: 'relu', type: tensorflow().binding.TF_ATTR_BOOL, value };
}
