import { describe, expect, it } from 'vitest';
import { modelOf, value } from '../../../test/support/graphs.ts';
import { makeNode } from '../ir/edit.ts';
import { planModel } from '../network/lower.ts';
import type { Node } from '../ir/types.ts';
import { unsupportedAttribute } from './unsupported-attribute.ts';

describe('attributes that the engine does not follow', () => {
  it.each<[string, Node, RegExp | null]>([
    [
      'statistics of each place',
      makeNode('BatchNormalization', ['x', 's', 'b', 'm', 'v'], ['y'], { spatial: 0 }),
      /"spatial" is 0; .* computes 1 only/,
    ],
    [
      'statistics of each channel',
      makeNode('BatchNormalization', ['x', 's', 'b', 'm', 'v'], ['y'], { spatial: 1 }),
      null,
    ],
    [
      'a normalization that rounds in between',
      makeNode('LayerNormalization', ['x', 's'], ['y'], { stash_type: 10 }),
      /"stash_type" is 10/,
    ],
    ['as PyTorch writes it', makeNode('LayerNormalization', ['x', 's'], ['y'], { stash_type: 1, axis: -1 }), null],
    [
      'a word of no meaning',
      makeNode('Gelu', ['x'], ['y'], { approximate: 'erf2' }),
      /"approximate" is "erf2"; .* computes "none", "tanh" only/,
    ],
    [
      'a scaled rotation',
      makeNode('RotaryEmbedding', ['x', 'p', 'c', 's'], ['y'], { scale: { float: 2 } }, { domain: 'com.microsoft' }),
      /"scale" is 2/,
    ],
    [
      "another domain's operator of that name",
      makeNode('Gelu', ['x'], ['y'], { approximate: 'erf2' }, { domain: 'com.microsoft' }),
      null,
    ],
  ])('%s', (_, node, reason) => {
    if (reason) expect(unsupportedAttribute(node)).toMatch(reason);
    else expect(unsupportedAttribute(node)).toBeNull();
  });

  it('make the node one that is not trained, with the reason', () => {
    const model = modelOf({
      opset: 20,
      nodes: [makeNode('Gelu', ['x'], ['y'], { approximate: 'erf2' }, { name: 'act' })],
      inputs: [value('x', [2])],
      outputs: [value('y', [2])],
    });
    expect(planModel(model)).toMatchObject({
      ok: false,
      untrainable: [
        { node: 'node "act" (Gelu)', operator: 'Gelu', reason: expect.stringContaining('"approximate" is "erf2"') },
      ],
    });
  });
});
