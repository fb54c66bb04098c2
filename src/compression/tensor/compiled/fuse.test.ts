import { beforeAll, describe, expect, test } from 'vitest';
import { startEngine } from '../engine.ts';
import { fuseProgram } from './fuse.ts';
import type { Program, ProgramOp } from './program.ts';

beforeAll(async () => {
  await startEngine('tensorflow');
});

const op = (name: string, inputs: readonly string[], shape: readonly number[]): ProgramOp => ({
  name,
  attributes: [],
  inputs,
  outputs: [1],
  shapes: [shape],
});

function program(ops: Readonly<Record<string, ProgramOp>>, results: readonly string[]): Program {
  return { ops: new Map(Object.entries(ops)), constants: new Map(), results, updates: new Map() };
}

const names = ({ ops }: Program) => [...ops.values()].map(({ name, inputs }) => `${name}(${inputs.join(' ')})`);
const product = op('LatheMatMul', ['i0', 'v0'], [6, 4]);

describe('what is fused', () => {
  test('a product, its bias and ReLU', () => {
    const fused = fuseProgram(
      program({ n0: product, n1: op('BiasAdd', ['n0:0', 'v1'], [6, 4]), n2: op('Relu', ['n1:0'], [6, 4]) }, ['n2:0']),
    );
    expect(names(fused)).toEqual(['LatheDense(i0 v0 v1)']);
    expect(fused.results).toEqual(['n0:0']);
    expect(fused.ops.get('n0')!.attributes.at(-1)).toMatchObject({ name: 'relu', value: true });
  });
  test('a product that is reshaped before its bias is added', () => {
    const fused = fuseProgram(
      program(
        {
          n0: product,
          n1: op('Reshape', ['n0:0', 'c0'], [2, 3, 4]),
          n2: op('BiasAdd', ['n1:0', 'v1'], [2, 3, 4]),
          n3: op('Neg', ['n2:0'], [2, 3, 4]),
        },
        ['n3:0'],
      ),
    );
    expect(names(fused)).toEqual(['LatheDense(i0 v0 v1)', 'Reshape(n0:0 c0)', 'Neg(n1:0)']);
  });
  test('a convolution and its bias', () => {
    const fused = fuseProgram(
      program({ n0: op('LatheConv', ['i0', 'v0'], [1, 2, 2, 4]), n1: op('BiasAdd', ['n0:0', 'v1'], [1, 2, 2, 4]) }, [
        'n1:0',
      ]),
    );
    expect(names(fused)).toEqual(['LatheConvBias(i0 v0 v1)']);
  });
  test('the gradients of ReLU and of the bias before it', () => {
    const fused = fuseProgram(
      program(
        {
          n0: op('ReluGrad', ['i0', 'i1'], [6, 4]),
          n1: op('LatheBiasGrad', ['n0:0'], [4]),
          n2: op('Neg', ['n0:0'], [6, 4]),
        },
        ['n1:0', 'n2:0'],
      ),
    );
    expect(names(fused)).toEqual(['LatheReluBiasGrad(i0 i1)', 'Neg(n0:0)']);
    expect(fused.results).toEqual(['n0:1', 'n2:0']);
  });
});

describe('what is not fused', () => {
  test('a product that something else reads, or that is a result', () => {
    const read = program({ n0: product, n1: op('BiasAdd', ['n0:0', 'v1'], [6, 4]), n2: op('Neg', ['n0:0'], [6, 4]) }, [
      'n1:0',
      'n2:0',
    ]);
    expect(fuseProgram(read)).toEqual(read);
    const result = program({ n0: product, n1: op('BiasAdd', ['n0:0', 'v1'], [6, 4]) }, ['n0:0', 'n1:0']);
    expect(fuseProgram(result)).toEqual(result);
  });
  test('a bias of other columns than the product has', () => {
    const other = program(
      { n0: product, n1: op('Reshape', ['n0:0', 'c0'], [12, 2]), n2: op('BiasAdd', ['n1:0', 'v1'], [12, 2]) },
      ['n2:0'],
    );
    expect(fuseProgram(other)).toEqual(other);
  });
  test('ReLU of a sum that something else reads', () => {
    const fused = fuseProgram(
      program({ n0: product, n1: op('BiasAdd', ['n0:0', 'v1'], [6, 4]), n2: op('Relu', ['n1:0'], [6, 4]) }, [
        'n1:0',
        'n2:0',
      ]),
    );
    expect(names(fused)).toEqual(['LatheDense(i0 v0 v1)', 'Relu(n0:0)']);
  });
});
