/**
 * Training steps of other architectures (all, or those named), loaded from ONNX: MobileNetV2-like, ResNet-18-like,
 * transformer, LSTM; against Keras 3 and PyTorch
 */
import { ARCHITECTURES } from './architecture-networks.ts';
import { chosenOf, resultName } from './chosen.ts';
import { saveResult } from './result.ts';
import { inTurns, ROUNDS, SECONDS_A_TURN, startAll } from './turns.ts';

/** Least speed relative to the faster peer. */
const GOAL = 1.2;

const chosen = chosenOf(ARCHITECTURES);
const file = resultName(
  'architectures',
  chosen.map(({ name }) => name),
  ARCHITECTURES.length,
);

const contenders = await startAll({ byHand: false });
const versions = Object.fromEntries(contenders.map(({ name, version }) => [name, version]));
const rows = [];
let path = '';
for (const { name, batch } of chosen) {
  const msPerStep = await inTurns(contenders, name);
  const peers = Object.entries(msPerStep).filter(([contender]) => contender !== 'lathe');
  const fastest = peers.length === 0 ? null : peers.reduce((a, b) => (b[1] < a[1] ? b : a));
  const versusFastest = fastest && fastest[1] / msPerStep['lathe']!;
  rows.push({ network: name, batch, msPerStep, fastestPeer: fastest?.[0] ?? null, versusFastest, goal: GOAL });
  const times = Object.entries(msPerStep)
    .map(([contender, ms]) => `${contender} ${ms.toFixed(1)} ms`)
    .join('   ');
  console.log(
    `${name.padEnd(15)}${times}   speed relative to ${fastest?.[0] ?? 'no peer'} ` +
      `${versusFastest?.toFixed(2) ?? '-'}x (goal ${GOAL}x)`,
  );
  path = saveResult(file, { rounds: ROUNDS, secondsATurn: SECONDS_A_TURN, versions, rows });
}
for (const contender of contenders) contender.stop();
console.log(`\n${path}`);
