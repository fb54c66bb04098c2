/**
 * Training steps (batch 128, SGD with momentum) of the LeNets and ResNet-20 (all, or those named): loaded from ONNX in
 * Lathe, by hand, in Keras 3 and in PyTorch, in turns
 */
import { BATCH_SIZE } from './contenders/protocol.ts';
import { chosenOf, resultName } from './chosen.ts';
import { saveResult } from './result.ts';
import { inTurns, mapValues, ROUNDS, SECONDS_A_TURN, startAll } from './turns.ts';

const NETWORKS = ['lenet-300-100', 'lenet-5', 'resnet-20'] as const;
/** Least images/s relative to Keras. */
const GOALS = { 'lenet-300-100': 1.5, 'lenet-5': 1.2, 'resnet-20': 1.3 } as const;

export async function run(): Promise<void> {
  const chosen = chosenOf(NETWORKS.map((name) => ({ name }))).map(({ name }) => name);
  const contenders = await startAll({ byHand: true });
  const rows = [];
  for (const network of chosen) {
    const medians = await inTurns(contenders, network);
    rows.push({
      network,
      msPerStep: medians,
      imagesPerSecond: mapValues(medians, (ms) => Math.round((BATCH_SIZE * 1000) / ms)),
      ...ratios(network, medians),
    });
    print(rows.at(-1)!);
  }
  for (const contender of contenders) contender.stop();
  const versions = Object.fromEntries(contenders.map(({ name, version }) => [name, version]));
  console.log(
    `\n${saveResult(resultName('training-step', chosen, NETWORKS.length), {
      batchSize: BATCH_SIZE,
      rounds: ROUNDS,
      secondsATurn: SECONDS_A_TURN,
      versions,
      rows,
    })}`,
  );
}

function ratios(network: keyof typeof GOALS, ms: Record<string, number>) {
  const ratio = (name: string) => (ms[name] ? ms[name] / ms['lathe']! : null);
  return {
    versusKeras: ratio('keras'),
    goal: GOALS[network],
    versusTorch: ratio('torch'),
    versusByHand: ratio('by-hand'),
  };
}

function print(row: {
  network: string;
  msPerStep: Record<string, number>;
  versusKeras: number | null;
  goal: number;
  versusTorch: number | null;
  versusByHand: number | null;
}): void {
  const times = Object.entries(row.msPerStep)
    .map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`)
    .join('   ');
  const factor = (value: number | null) => (value === null ? '-' : `${value.toFixed(2)}x`);
  console.log(
    `${row.network.padEnd(15)}${times}   speed relative to Keras ${factor(row.versusKeras)} (goal ` +
      `${row.goal}x), PyTorch ${factor(row.versusTorch)}, by hand ${factor(row.versusByHand)}`,
  );
}

await run();
