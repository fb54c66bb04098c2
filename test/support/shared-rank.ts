/** A rank of a shared group in a process of its own (shared-ranks.ts): scenarios by name. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { compileStep } from '../../src/compression/tensor/compile.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { joinSharedGroup } from '../../src/compression/tensor/shared-group.ts';
import type { SharedGroup } from '../../src/compression/tensor/shared-group.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';

interface Place {
  readonly rank: number;
  readonly size: number;
  readonly path: string;
}
type Scenario = (place: Place, argument: never) => unknown;
type Scalar = ReturnType<typeof tf.scalar>;

/** Values that sums round, the same for every caller: rank's of tensor `index` in a round. */
function valuesOf(rank: number, round: number, index: number, length: number): Float32Array {
  const values = new Float32Array(length);
  let state = (rank * 7919 + round * 104729 + index * 1299709 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * 2 ** (state % 9);
  }
  return values;
}

/** In rank order, rounded to float32 after each addition: the exact result. */
function expectedSum(size: number, round: number, index: number, length: number): Float32Array {
  const total = valuesOf(0, round, index, length);
  for (let rank = 1; rank < size; rank++) {
    const values = valuesOf(rank, round, index, length);
    for (let i = 0; i < length; i++) total[i] = Math.fround(total[i]! + values[i]!);
  }
  return total;
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const differs = (tensor: TfTensor, expected: Float32Array): boolean =>
  Buffer.compare(Buffer.from(tensor.dataSync().buffer), Buffer.from(expected.buffer)) !== 0;

/** Calls of several tensors each, short and long, interleaved with broadcasts. */
const CALLS: readonly (readonly (readonly number[])[])[] = [
  [[3]],
  [[5, 5, 3, 7], [0], [64], [17, 333], []],
  [[700, 450]],
  [[64], [64]],
  [[300, 1000], [3], [513, 511]],
];

const scenarios: Record<string, Scenario> = {
  /** Sums of every form, eager and compiled, bit for bit; how many tensors were wrong, and a hash of all bytes. */
  async sums(place, { rounds, capacityBytes }: { rounds: number; capacityBytes?: number }) {
    const group = joinSharedGroup({ ...place, capacityBytes });
    const hash = createHash('sha256');
    const steps = CALLS.map((shapes) =>
      compileStep({ inputs: shapes.map((shape) => tf.zeros([...shape])), variables: [], step: (x) => group.sum(x) }),
    );
    let [wrong, before] = [0, 0];
    for (let round = 0; round < rounds; round++) {
      if (round === rounds / 2) before = tf.memory().numTensors;
      const shapes = CALLS[round % CALLS.length]!;
      const inputs = shapes.map((shape, i) => tf.tensor(valuesOf(place.rank, round, i, product(shape)), [...shape]));
      const sums = round % 2 === 0 ? group.sum(inputs) : steps[round % CALLS.length]!.run(inputs);
      sums.forEach((sum, i) => {
        hash.update(Buffer.from(sum.dataSync().buffer));
        if (differs(sum, expectedSum(place.size, round, i, product(shapes[i]!)))) wrong++;
      });
      if (round % 4 === 0) wrong += await broadcastWrong(group, round);
      tf.dispose([...inputs, ...sums]);
    }
    const leaked = tf.memory().numTensors - before;
    group.close();
    return { wrong, leaked, hash: hash.digest('hex'), compiled: steps.map((step) => step.status().compiled) };
  },

  /** A thousand short and long exchanges in compiled steps. */
  async many(place, { rounds }: { rounds: number }) {
    const group = joinSharedGroup(place);
    const total = tf.variable(tf.zeros([40_000]));
    const step = compileStep({
      inputs: [tf.scalar(0)],
      variables: [total],
      step: ([x]) => {
        const [small] = group.sum([tf.add(x!, place.rank)]);
        const [large] = group.sum([tf.fill([40_000], 1).mul(x!)]);
        total.assign(tf.add(total, large!));
        return [small!];
      },
    });
    let wrong = 0;
    for (let round = 0; round < rounds; round++) {
      const [small] = step.run([tf.scalar(round % 16)]);
      if (small!.dataSync()[0] !== (round % 16) * place.size + (place.size * (place.size - 1)) / 2) wrong++;
      small!.dispose();
    }
    await group.barrier();
    const [least, most] = [tf.min(total).dataSync()[0]!, tf.max(total).dataSync()[0]!];
    group.close();
    return { wrong, least, most, compiled: step.status().compiled };
  },

  /** loss_r = c_r * sum(y^2) + d_r * sum(z) of sums y and z over ranks, with a third sum that no loss needs. */
  gradient(place, { compiled }: { compiled: boolean }) {
    const group = joinSharedGroup(place);
    const [a, b] = [
      tf.variable(tf.tensor1d([1, 2, 3]).mul(place.rank + 1)),
      tf.variable(tf.tensor1d([place.rank, -1])),
    ];
    const step = ([weight]: TfTensor[]) => {
      const loss = () => {
        const [y, z] = group.sum([a, b, tf.ones([4])]) as [TfTensor, TfTensor];
        const squares = tf.sum<Scalar>(tf.square(y));
        return tf.add<Scalar>(tf.mul(squares, weight!), tf.mul(tf.sum(z), place.rank + 5));
      };
      const { value, grads } = tf.variableGrads(loss, [a, b]);
      return [value as TfTensor, grads[a.name]!, grads[b.name]!];
    };
    const run = compileStep({ inputs: [tf.scalar(0)], variables: [a, b], step });
    let results: TfTensor[] = [];
    const weight = tf.scalar(0.5 + place.rank);
    for (let i = 0; i < (compiled ? 5 : 1); i++) results = run.run([weight]);
    group.close();
    return { results: results.map((tensor) => [...tensor.dataSync()]), compiled: run.status().compiled };
  },

  /** Two groups in one step; in each a sum whose result only rank 0 uses. */
  twoGroups(place) {
    const [first, second] = [joinSharedGroup(place), joinSharedGroup({ ...place, path: `${place.path}-b` })];
    const step = compileStep({
      inputs: [tf.scalar(0)],
      variables: [],
      step: ([x]) => {
        const [one] = first.sum([tf.fill([50_000], 1).mul(x!)]);
        const [two] = second.sum([tf.mul(x!, 2)]);
        const [unused] = first.sum([tf.mul(x!, 3)]);
        const [last] = second.sum([tf.add(two!, tf.mean(one!))]);
        return place.rank === 0 ? [last!, unused!] : [last!];
      },
    });
    const seen: number[] = [];
    for (let i = 1; i <= 6; i++) seen.push(...step.run([tf.scalar(i)]).map((tensor) => tensor.dataSync()[0]!));
    first.close();
    second.close();
    return { seen, compiled: step.status().compiled };
  },

  /** Computes until a rank is killed; what the others then saw, and after how long. */
  killed(place, { victim, compiled }: { victim: number; compiled: boolean }) {
    const group = joinSharedGroup(place);
    const step = compileStep({ inputs: [tf.zeros([300_000])], variables: [], step: (x) => group.sum(x) });
    const x = tf.ones([300_000]);
    for (let i = 0; i < 5; i++) tf.dispose(compiled ? step.run([x]) : group.sum([x]));
    if (place.rank === victim) process.kill(process.pid, 'SIGKILL');
    return failureOf(group, () => (compiled ? step.run([x]) : group.sum([x])));
  },

  aborted(place) {
    const group = joinSharedGroup(place);
    group.sum([tf.ones([3])]);
    if (place.rank === 1) group.abort('the dataset is gone');
    return failureOf(group, () => group.sum([tf.ones([3])]));
  },

  late(place) {
    const group = joinSharedGroup({ ...place, timeoutMs: 1500 });
    group.sum([tf.ones([3])]);
    if (place.rank === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);
    return failureOf(group, () => group.sum([tf.ones([3])]));
  },

  left(place) {
    const group = joinSharedGroup(place);
    group.sum([tf.ones([3])]);
    if (place.rank === 1) group.close();
    return failureOf(group, () => group.sum([tf.ones([3])]), place.rank !== 1);
  },

  different(place) {
    const group = joinSharedGroup(place);
    group.sum([tf.ones([3])]);
    return failureOf(group, () => (place.rank === 1 ? group.sum([tf.ones([2])]) : group.broadcast([tf.ones([3])], 0)));
  },

  /** Rank 2 of 3 ends; the others go on as two, with the compiled step that they have. */
  async rejoined(place) {
    const group = joinSharedGroup(place);
    const step = compileStep({ inputs: [tf.scalar(0)], variables: [], step: (x) => group.sum(x) });
    const once = () => step.run([tf.scalar(place.rank + 1)])[0]!.dataSync()[0]!;
    const before = [once(), once(), once()];
    if (place.rank === 2) process.kill(process.pid, 'SIGKILL');
    const { message } = failureOf(group, once);
    group.rejoin({ path: `${place.path}-2`, rank: place.rank, size: 2 });
    await group.barrier();
    const after = [once(), once()];
    const state = { failure: group.failure(), rank: group.rank, size: group.size, compiled: step.status().compiled };
    group.close();
    return { before, message, after, state };
  },

  async alone(place, { timeoutMs }: { timeoutMs: number }) {
    const group = joinSharedGroup({ ...place, rank: place.rank, size: 2, timeoutMs });
    const start = performance.now();
    const message = await group.barrier().then(
      () => 'joined',
      (error: unknown) => (error as Error).message,
    );
    return { message, ms: performance.now() - start };
  },

  /** One of three never comes, and rank 0 is killed once rank 1 has joined. */
  async forming(place) {
    const group = joinSharedGroup({ ...place, size: place.size + 1 });
    const { ino } = statSync(place.path, { throwIfNoEntry: false }) ?? { ino: -1 };
    const joined = () => readFileSync('/proc/locks', 'utf8').split(`:${ino} `).length - 1;
    while (place.rank === 0 && joined() < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    if (place.rank === 0) process.kill(process.pid, 'SIGKILL');
    await group.barrier();
    return null;
  },
};

async function broadcastWrong(group: SharedGroup, round: number): Promise<number> {
  const root = round % group.size;
  const inputs = [
    tf.tensor(valuesOf(group.rank, round, 50, 300_000)),
    tf.tensor1d([group.rank, round, -1], 'int32'),
    tf.tensor(valuesOf(group.rank, round, 51, 7)),
  ];
  const [large, integers, small] = group.broadcast(inputs, root) as [TfTensor, TfTensor, TfTensor];
  await group.barrier();
  const wrong = [
    differs(large, valuesOf(root, round, 50, 300_000)),
    [...integers.dataSync()].join() !== [root, round, -1].join(),
    differs(small, valuesOf(root, round, 51, 7)),
  ].filter(Boolean).length;
  tf.dispose([...inputs, large, integers, small]);
  return wrong;
}

/** What a call throws, how long it took, and what the group says of itself. */
function failureOf(
  group: SharedGroup,
  call: () => unknown,
  isOpen = true,
): Record<string, unknown> & { message: string } {
  const start = performance.now();
  let message = 'nothing was thrown';
  try {
    call();
  } catch (error) {
    message = (error as Error).message;
  }
  return { message, ms: performance.now() - start, failure: isOpen ? group.failure() : null };
}

const { scenario, argument, ...place } = JSON.parse(process.argv[2]!) as Place & { scenario: string; argument: never };
try {
  await startEngine('tensorflow', { threads: 1 });
  process.send!({ value: (await scenarios[scenario]!(place, argument)) ?? null });
} catch (error) {
  process.send!({ error: (error as Error).stack });
}
process.disconnect();
