/** A network in stages computes what the whole does: outputs, gradients across every cut, running statistics, draws. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lowerOrThrow, planModel } from '../../../src/compression/network/lower.ts';
import { LoweredNetwork } from '../../../src/compression/network/lowered-network.ts';
import type { Network } from '../../../src/compression/network/network.ts';
import { cutIntoStages } from '../../../src/compression/network/stages/cut.ts';
import { cutNetwork } from '../../../src/compression/network/stages/cut-network.ts';
import type { Stage } from '../../../src/compression/network/stages/stage.ts';
import { type Values } from '../../../src/compression/network/stages/stage.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf, type TfTensor } from '../../../src/compression/tensor/tf.ts';
import { spread } from '../../support/graphs.ts';
import { awkward, resNet, transformer, twoTowers, type StagedNetwork } from '../../support/staged-networks.ts';

const TOLERANCE = 1e-5;

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

let open: Network[] = [];
afterEach(() => {
  for (const network of open) network.dispose();
  open = [];
});

function lower({ model }: StagedNetwork): Network {
  const network = lowerOrThrow(model());
  open.push(network);
  return network;
}

function feedsOf({ inputs }: StagedNetwork): Values {
  return new Map(
    inputs.map(({ name, dtype, shape: dims }, i): [string, Value] => {
      const shape = [...dims];
      const values = spread(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
      );
      const tensor =
        dtype === 'float32'
          ? tf.tensor(values, shape)
          : tf.tensor(
              values.map((v) => Math.floor(5 + 4 * v)),
              shape,
              'int32',
            );
      return [name, { kind: 'device', dtype, tensor }];
    }),
  );
}

interface Figures {
  readonly loss: number;
  readonly outputs: ReadonlyMap<string, Float32Array>;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly state: ReadonlyMap<string, Float32Array>;
}

const read = (tensors: Iterable<readonly [string, TfTensor]>): Map<string, Float32Array> =>
  new Map([...tensors].map(([name, tensor]) => [name, Float32Array.from(tensor.dataSync())]));

/** Frees the tensors that `compute` leaves. */
function inScope<T>(compute: () => T): T {
  tf.engine().startScope();
  try {
    return compute();
  } finally {
    tf.engine().endScope();
  }
}

/** A smooth scalar of all outputs. */
function lossOf(outputs: Values): TfTensor {
  const terms = [...outputs.values()].map((value, i) => {
    if (value.kind !== 'device') throw new Error('outputs are device values');
    return tf.mul(tf.mean(tf.sin(tf.mul(value.tensor, 1 + i))), 1 + i);
  });
  return tf.addN(terms);
}

const optionsOf = (fetch: readonly string[]) => ({ training: true, seed: tf.tensor1d([7, 3], 'int32'), fetch });

/** By the library's own gradient of the whole network. */
function wholeFigures(network: Network, feeds: Values, fetch: readonly string[]): Figures {
  return inScope(() => {
    const [outputs, state] = [new Map<string, TfTensor>(), new Map<string, TfTensor>()];
    const { value, grads } = tf.variableGrads(
      () => {
        const run = network.run(feeds, optionsOf(fetch));
        for (const [name, made] of run.outputs) if (made.kind === 'device') outputs.set(name, tf.keep(made.tensor));
        for (const [name, tensor] of run.stateUpdates) state.set(name, tf.keep(tensor));
        return lossOf(run.outputs) as ReturnType<typeof tf.scalar>;
      },
      network.parameters.map(({ variable }) => variable),
    );
    const zeros = (tensor: TfTensor) => tf.zerosLike(tensor);
    const gradients = network.parameters.map(
      ({ name, variable }) => [name, grads[variable.name] ?? zeros(variable)] as const,
    );
    return { loss: value.dataSync()[0]!, outputs: read(outputs), gradients: read(gradients), state: read(state) };
  });
}

/** Forward through all stages, then back, as their crossings say. */
function stagedFigures(stages: readonly Stage[], feeds: Values): Figures {
  return inScope(() => {
    const values = new Map(feeds);
    const gradients = new Map<string, TfTensor>();
    const back = new Map<string, TfTensor>();
    const state = new Map<string, TfTensor>();
    const options = optionsOf([]);
    const given = (stage: Stage): Values =>
      new Map(
        [...stage.inputs, ...stage.receives.map(({ name }) => name)].map((name) => [name, values.get(name)!] as const),
      );
    let outputs: Values = new Map();
    for (const stage of stages)
      for (const [name, value] of (outputs = stage.forward(given(stage), options))) values.set(name, value);
    let loss = 0;
    for (const stage of [...stages].reverse()) {
      const sent = new Map(
        stage.sends.flatMap(({ name }) => (back.has(name) ? [[name, back.get(name)!] as const] : [])),
      );
      const found =
        stage === stages.at(-1)
          ? stage.differentiate(given(stage), options, lossOf)
          : stage.backward(given(stage), options, sent);
      if (stage === stages.at(-1)) loss = found.value.dataSync()[0]!;
      const add = (sums: Map<string, TfTensor>, name: string, tensor: TfTensor) =>
        sums.set(name, sums.has(name) ? tf.add(sums.get(name)!, tensor) : tensor);
      stage.parameters.forEach(({ name }, i) => add(gradients, name, found.parameters[i]!));
      for (const [name, tensor] of found.received) add(back, name, tensor);
      for (const [name, tensor] of found.state) state.set(name, tensor);
    }
    const made = [...outputs].flatMap(([name, value]) =>
      value.kind === 'device' ? [[name, value.tensor] as const] : [],
    );
    return { loss, outputs: read(made), gradients: read(gradients), state: read(state) };
  });
}

/** Largest difference of two tensors, relative to the largest value where that is above 1. */
function distance(a: Float32Array, b: Float32Array): number {
  expect(b.length).toBe(a.length);
  const scale = Math.max(1, ...a.map(Math.abs));
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!) / scale), 0);
}

function expectEqual(whole: Figures, staged: Figures): void {
  expect(Math.abs(staged.loss - whole.loss)).toBeLessThan(TOLERANCE);
  for (const kind of ['outputs', 'gradients', 'state'] as const) {
    expect([...staged[kind].keys()].sort()).toEqual([...whole[kind].keys()].sort());
    for (const [name, values] of whole[kind])
      expect(distance(values, staged[kind].get(name)!), `${kind} of ${name}`).toBeLessThan(TOLERANCE);
  }
}

/** Stages by places in the program's order at which the next one begins. */
function cutAt(network: Network, places: readonly number[], fetch: readonly string[] = []): readonly Stage[] {
  const { instructions } = network.parts.program;
  return cutNetwork(network, {
    stageOf: instructions.map((_, i) => places.filter((place) => place <= i).length),
    fetch,
  });
}

const shares = (network: Network, parts: number): number[] =>
  Array.from({ length: parts - 1 }, (_, i) =>
    Math.round(((i + 1) * network.parts.program.instructions.length) / parts),
  );

describe.each([resNet, transformer, twoTowers, awkward])('$name', (staged) => {
  test.each([2, 3])('in %i parts', (parts) => {
    const network = lower(staged);
    const feeds = feedsOf(staged);
    const stages = cutAt(network, shares(network, parts));
    expect(stages).toHaveLength(parts);
    expectEqual(wholeFigures(network, feeds, []), stagedFigures(stages, feeds));
    for (const stage of stages) stage.dispose();
    tf.dispose([...feeds.values()].map((value) => (value.kind === 'device' ? value.tensor : [])));
  });

  test('does not lose its variables with its stages, nor tensors', () => {
    const network = lower(staged);
    const tensors = tf.memory().numTensors;
    for (const stage of cutAt(network, shares(network, 2))) stage.dispose();
    expect(tf.memory().numTensors).toBe(tensors);
    expect(network.parameters.every(({ variable }) => !variable.isDisposed)).toBe(true);
  });
});

describe.each([twoTowers, awkward])('$name', (staged) => {
  test('cut at every place, at one and at two', () => {
    const network = lower(staged);
    const feeds = feedsOf(staged);
    const whole = wholeFigures(network, feeds, []);
    const places = network.parts.program.instructions.map((_, i) => i).slice(1);
    for (const place of places)
      for (const other of [place, ...places.filter((each) => each > place && (each - place) % 3 === 1)]) {
        const stages = cutAt(network, [...new Set([place, other])]);
        expectEqual(whole, stagedFigures(stages, feeds));
        for (const stage of stages) stage.dispose();
      }
  });
});

test('fetched values come from the last stage, wherever they were computed', () => {
  const network = lower(awkward);
  const feeds = feedsOf(awkward);
  const fetch = ['b1', 'colour', 'x'];
  const stages = cutAt(network, shares(network, 3), fetch);
  const whole = wholeFigures(network, feeds, fetch);
  expect([...whole.outputs.keys()]).toEqual(['y', 'c2', 'b1', 'colour', 'x']);
  expectEqual(whole, stagedFigures(stages, feeds));
});

describe('what crosses', () => {
  test('goes straight to the stage that reads it, with a gradient where a parameter is behind it', () => {
    const network = lower(awkward);
    const names = network.parts.program.instructions.map(({ node }) => node.outputs[0]);
    const stages = cutAt(network, [names.indexOf('d1'), names.indexOf('d2')]);
    const crossings = stages
      .flatMap(({ sends }) => sends)
      .map(({ name, from, to, learns }) => [name, from, to, learns]);
    expect(crossings.sort()).toEqual(
      [
        ['r1', 0, 1, true],
        ['r1', 0, 2, true],
        ['shape', 0, 2, false],
        ['i', 1, 2, true],
        ['brightest', 1, 2, false],
        ['c2', 1, 2, true],
      ].sort(),
    );
    expect(stages.map(({ inputs }) => inputs)).toEqual([['x'], [], []]);
  });

  test('a value may not flow to an earlier stage', () => {
    const network = lower(twoTowers);
    const backwards = network.parts.program.instructions.map((_, i) => (i < 3 ? 1 : 0));
    expect(() => cutNetwork(network, { stageOf: backwards, fetch: [] })).toThrow(
      /"user\..*" of stage 1 is read in stage 0, before it exists/,
    );
  });

  test('a plan for another program is refused', () => {
    expect(() => cutNetwork(lower(twoTowers), { stageOf: [0, 1], fetch: [] })).toThrow(
      'names stages for 2 instructions; the program has 15',
    );
  });
});

test('a part alone holds its own weights only', () => {
  const planned = planModel(resNet.model());
  if (!planned.ok) throw new Error('the model is trainable');
  const { program } = planned.parts;
  const half = program.instructions.length / 2;
  const parts = cutIntoStages(planned.parts, {
    stageOf: program.instructions.map((_, i) => Number(i >= half)),
    fetch: [],
  });
  const bytesOf = (of: Network) => of.parameters.reduce((sum, { variable }) => sum + variable.size * 4, 0);
  const bytes = parts.map(({ parts: own }) => {
    const before = tf.memory().numBytes;
    const network = new LoweredNetwork(own);
    const held = tf.memory().numBytes - before;
    expect(held).toBeGreaterThanOrEqual(bytesOf(network));
    network.dispose();
    return held;
  });
  const whole = lower(resNet);
  const all = [...whole.parameters, ...whole.state].reduce((sum, { variable }) => sum + variable.size * 4, 0);
  expect(bytes[0]! + bytes[1]!).toBe(all);
});
