/** What a smaller model's own format cannot say is refused by name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { halved } from '../../../../../test/support/halved.ts';
import { projectRoot } from '../../../../process/entry.ts';
import { withGraph } from '../../../ir/edit.ts';
import type { Model, Node, Tensor } from '../../../ir/types.ts';
import { readModel } from '../../read-model.ts';
import { writeOwnFormat } from '../../write-model.ts';
import { selectRemaining } from './select-remaining.ts';
import { followSizes } from './resize-layers.ts';

const data = (...path: string[]): Uint8Array => readFileSync(join(projectRoot, 'test', 'data', ...path));
const refusal = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'unsupported-operator', message: expect.stringMatching(message) as string });

describe('elements that are left', () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i);

  it('are cut along several axes at once', () => {
    const left = selectRemaining({ place: 'a', dims: [2, 2, 3] }, values, (i) => i >= 6 && i % 3 !== 1);
    expect(left).toEqual({ dims: [1, 2, 2], values: Float32Array.of(6, 8, 9, 11) });
  });

  it('must leave no holes', () => {
    expect(() => selectRemaining({ place: '/dense/kernel', dims: [3, 4] }, values, (i) => i !== 5)).toThrow(
      refusal(/"\/dense\/kernel".*do not form an array/),
    );
  });
});

describe('settings of layers', () => {
  const around = { inputs: [[null, 6, 8]], outputs: [[null, 6, 5]] };

  it('of attention follow its kernels', () => {
    const arrays = [[8, 2, 3], [2, 3], [8, 2, 3], [2, 3], [8, 2, 4], [2, 4], [2, 4, 5], [5]];
    expect(
      followSizes('MultiHeadAttention', {
        config: { num_heads: 4, key_dim: 6, value_dim: 8, output_shape: null },
        arrays,
        ...around,
      }),
    ).toEqual({ num_heads: 2, key_dim: 3, value_dim: 4, output_shape: 5 });
  });

  it('of layers in layers follow their own arrays', () => {
    const lstm = (units: number) => ({ class_name: 'LSTM', config: { name: 'lstm', units } });
    const arrays = [[8, 12], [3, 12], [12], [8, 20], [5, 20], [20]];
    expect(
      followSizes('Bidirectional', { config: { layer: lstm(6), backward_layer: lstm(6) }, arrays, ...around }),
    ).toEqual({ layer: lstm(3), backward_layer: lstm(5) });
  });

  it('that are not known are not guessed', () => {
    expect(() =>
      followSizes('SpectralNormalization', { config: { name: 'norm' }, arrays: [[3, 3]], ...around }),
    ).toThrow(refusal(/layer "norm" \(SpectralNormalization\)/));
  });
});

describe('a smaller model that its file cannot say', () => {
  const written = async (change: (model: Model) => Model) => {
    const upload = data('keras', 'joins.keras');
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    return writeOwnFormat(upload, format, change(smaller), { storage: 'own', kept });
  };

  it('because an operator does something else', async () => {
    const first = (model: Model): Node => model.graph.nodes.find(({ opType }) => opType === 'Conv')!;
    const shifted = (model: Model): Model =>
      withGraph(model, {
        ...model.graph,
        nodes: model.graph.nodes.map((node) =>
          node === first(model)
            ? { ...node, attributes: new Map(node.attributes).set('pads', { kind: 'ints', value: [2, 2, 0, 0] }) }
            : node,
        ),
      });
    await expect(written(shifted)).rejects.toThrow(refusal(/\/conv": channels were removed/));
  });

  it('because a weight has come apart', async () => {
    const apart = (model: Model): Model => {
      const initializers = new Map<string, Tensor>(model.graph.initializers);
      initializers.delete([...initializers.keys()].find((name) => name.endsWith('/kernel'))!);
      return withGraph(model, { ...model.graph, initializers });
    };
    await expect(written(apart)).rejects.toThrow(refusal(/\/kernel": the weight is no longer in the model/));
  });

  it('because a constant without an array was changed', async () => {
    const changed = (model: Model): Model => {
      const name = 'batch_normalization/gamma';
      const tensor = model.graph.initializers.get(name)!;
      return withGraph(model, {
        ...model.graph,
        initializers: new Map(model.graph.initializers).set(name, {
          ...tensor,
          bytes: tensor.bytes.map((byte) => byte ^ 1),
        }),
      });
    };
    const upload = data('keras', 'chain.keras');
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    await expect(writeOwnFormat(upload, format, changed(smaller), { storage: 'own', kept })).rejects.toThrow(
      refusal(/batch_normalization/),
    );
  });

  it('comes as a graph-model where it was a layers-model of TF.js', async () => {
    const upload = data('tfjs', 'layers-float32.zip');
    const { model, format } = await readModel(upload);
    const { model: smaller, kept } = halved(model);
    expect((await writeOwnFormat(upload, format, smaller, { storage: 'own', kept }))!.format).toBe('tfjs-layers');
    expect((await writeOwnFormat(upload, format, smaller, { storage: 'own' }))!.format).toBe('tfjs-graph');
  });
});
