/** Finds a model's weights among its constants, with their roles and physical layouts. */
import { capturedNames, subgraphs } from '../ir/edit.ts';
import { elementCount, toHost } from '../ir/tensor-data.ts';
import { NodeView } from '../ir/node-info.ts';
import type { Tensor } from '../ir/types.ts';
import type { WeightRole } from '../operators/operator.ts';
import type { Bodies } from './gradient-paths.ts';
import type { Parameter } from './parameter.ts';
import type { Program, Instruction } from './program.ts';

export interface Weight {
  readonly tensor: Tensor;
  readonly role: Parameter['role'];
  /** Physical layout in the engine; null: ONNX's. */
  readonly perm: readonly number[] | null;
}

/**
 * The float constants that are weights, by name, in the order of their first use in the graph or a body that captures
 * them.
 */
export function findWeights(
  program: Program,
  bodies: Bodies,
  constants: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Weight> {
  const weights = new Map<string, Weight>();
  collect(program, bodies, constants, weights);
  return weights;
}

function collect(
  program: Program,
  bodies: Bodies,
  constants: ReadonlyMap<string, Tensor>,
  weights: Map<string, Weight>,
): void {
  for (const instruction of program.instructions) {
    instruction.node.inputs.forEach((name, input) => {
      const tensor = constants.get(name);
      if (!tensor || !TRAINED.has(tensor.dtype) || elementCount(tensor.dims) === 0) return;
      const role = roleOf(instruction, input, tensor, program);
      if (role && prefer(weights.get(name), role)) weights.set(name, { tensor, ...role });
    });
    for (const { graph } of subgraphs(instruction.node)) {
      const captured = capturedNames(graph); // what a body defines itself hides what has the same name outside
      collect(bodies(graph, program), bodies, new Map([...constants].filter(([name]) => captured.has(name))), weights);
    }
  }
}

const TRAINED: ReadonlySet<string> = new Set(['float32', 'float16', 'float64', 'bfloat16']);

type Role = Pick<Weight, 'role' | 'perm'>;

/** A role that an operator states takes precedence over a guessed one. */
function prefer(known: Weight | undefined, role: Role): boolean {
  return !known || (known.role === 'other' && role.role !== 'other');
}

function roleOf(instruction: Instruction, input: number, tensor: Tensor, program: Program): Role | null {
  const stated = instruction.operator.weights?.find((weight) => weight.input === input);
  if (stated) return { role: stated.kind, perm: layoutOf(stated, instruction, program) };
  return guessed(instruction, input, tensor);
}

function layoutOf(role: WeightRole, instruction: Instruction, program: Program): readonly number[] | null {
  const perm = role.layout?.(new NodeView(instruction.node, instruction.opset, program.types)) ?? null;
  return perm?.every((axis, i) => axis === i) ? null : perm;
}

/** Movement and arithmetic through which a weight may pass before it is used. */
const CARRIES: ReadonlySet<string> = new Set([
  'Identity',
  'Cast',
  'Reshape',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Concat',
  'Split',
  'Slice',
  'Expand',
  'Tile',
  'Pad',
  'Gather',
]);
const SHIFTS: ReadonlySet<string> = new Set(['Add', 'Sub', 'Sum']);
const SCALES: ReadonlySet<string> = new Set(['Mul', 'Div']);

/**
 * Guesses roles at operators that state no weights: exporters write a bias as Add, a scale as Mul. Single numbers (an
 * epsilon, the 0.5 of a GELU) are settings; so are tables of few different values (attention masks).
 */
function guessed(instruction: Instruction, input: number, tensor: Tensor): Role | null {
  const { opType, domain } = instruction.node;
  if (domain !== '' || elementCount(tensor.dims) < 2 || isTable(tensor)) return null;
  if (CARRIES.has(opType)) return input === 0 || opType === 'Concat' ? { role: 'other', perm: null } : null;
  if (SHIFTS.has(opType)) return { role: isVector(tensor) ? 'bias' : 'other', perm: null };
  if (SCALES.has(opType)) return { role: isVector(tensor) ? 'scale' : 'other', perm: null };
  return null;
}

function isVector(tensor: Tensor): boolean {
  return tensor.dims.filter((dim) => dim !== 1).length <= 1;
}

/**
 * More than one axis, and at most three different values or one that is not finite: a mask, not a learned weight.
 */
function isTable(tensor: Tensor): boolean {
  if (isVector(tensor)) return false;
  const values = new Set<number>();
  for (const value of toHost(tensor).data as Float32Array) {
    if (!Number.isFinite(value)) return true;
    values.add(value);
    if (values.size > 3) return false;
  }
  return true;
}

/** Whether weight decay applies: to weights that multiply activations, not to those that shift or scale channels. */
export function decays(role: Parameter['role']): boolean {
  return role === 'kernel' || role === 'embedding';
}
