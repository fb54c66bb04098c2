/**
 * Sums and broadcasts between processes of one machine, through memory that they share (native/shared-group.h,
 * docs/decisions/collective.md). On the TensorFlow engine's CPU they are operations: eager, and inside a compiled step,
 * where they hold no computing thread.
 *
 * All ranks of a group call the same operations with tensors of the same sizes in the same order; what differs fails
 * with both calls named. Where a process uses several groups, their operations run in the order of the calls.
 */
import { LatheError } from '../../errors.ts';
import { tensorflow } from './native/binding.ts';
import { hasOwnKernels, rawListOp } from './native/raw-op.ts';
import { tf } from './tf.ts';
import type { TfTensor } from './tf.ts';

export interface SharedGroupOptions {
  /**
   * A name in /dev/shm or another folder, new for each group. Rank 0 makes the file; it is removed once everybody has
   * joined, so that none stays behind, however the processes end.
   */
  readonly path: string;
  /** This process's number, from 0. */
  readonly rank: number;
  /** How many processes. */
  readonly size: number;
  /** Of a rank's exchange buffer, of which each rank has two; the same on all ranks. */
  readonly capacityBytes?: number;
  /** How long an operation waits for a rank that lives but does not come. The end of a process is seen at once. */
  readonly timeoutMs?: number;
}

export interface SharedGroup {
  readonly rank: number;
  readonly size: number;
  /**
   * Elementwise sums over all ranks of float32 tensors, in the order of ranks: equal bit for bit on every rank and in
   * every run. Differentiable: the gradient is the sum of all ranks' gradients. Give first what is computed first: in a
   * compiled step a bucket travels as soon as its tensors and all before it are there.
   * @throws Error with the rank that has ended, left, aborted or not answered
   */
  sum(tensors: readonly TfTensor[]): TfTensor[];
  /** The values of `root`'s tensors (float32, int32; everywhere of the same form) on every rank. @throws as `sum` */
  broadcast(tensors: readonly TfTensor[], root: number): TfTensor[];
  /** Resolves when all ranks have called it. The first one waits until the group is formed. */
  barrier(): Promise<void>;
  /** Makes every pending and later call of every rank fail with this reason. */
  abort(reason: string): void;
  /** Why calls fail from now on (for a caller that caught the error of a step); null while they do not. */
  failure(): string | null;
  /**
   * Takes part in another group from now on, with a new path, perhaps another rank and size. A group that failed stays
   * failed; who lives forms a new one so. Steps that were compiled with this group go on with the new one: they know it
   * by a number that stays.
   */
  rejoin(options: SharedGroupOptions): void;
  /** Runs `work` without the others: sums in it are this rank's own values. */
  alone<T>(work: () => T): T;
  /** Spent in sums so far, beside computing or not, and the part in which other ranks were waited for. */
  times(): { readonly exchangeMs: number; readonly waitMs: number };
  /** Later calls throw; ranks that still wait for this one fail. */
  close(): void;
}

const MAX_RANKS = 64;
const DEFAULT_CAPACITY_BYTES = 2 ** 20;
const MIN_CAPACITY_BYTES = 2 ** 12;
const DEFAULT_TIMEOUT_MS = 300_000;
/** Tensors are exchanged in buckets of about this size. */
const BUCKET_BYTES = 2 ** 20;
/** Buffers are cut between ranks at cache lines. */
const LINE_BYTES = 64;

/**
 * Rank 0 makes the file at once. Nobody is waited for: the first operation, or `barrier`, does that.
 * @throws LatheError `unavailable` on another engine; Error where the options or the file are wrong
 */
export function joinSharedGroup(options: SharedGroupOptions): SharedGroup {
  if (!hasOwnKernels())
    throw new LatheError(
      'unavailable',
      'Shared groups need the TensorFlow engine on the CPU ("npm run setup" builds it)',
    );
  const { binding } = tensorflow();
  const id = binding.joinSharedGroup(...settingsOf(options));
  let current = options;
  return {
    get rank() {
      return current.rank;
    },
    get size() {
      return current.size;
    },
    sum: (tensors) => bucketsOf(tensors).flatMap((bucket) => sum(bucket, id)),
    broadcast: (tensors, root) => broadcast(tensors, id, checkRank(root, current.size, 'root')),
    barrier: () => binding.sharedGroupBarrier(id),
    abort: (reason) => binding.abortSharedGroup(id, `rank ${current.rank} aborted: ${reason}`),
    failure: () => binding.sharedGroupFailure(id) || null,
    rejoin: (next) => {
      binding.rejoinSharedGroup(id, ...settingsOf(next));
      current = next;
    },
    alone: (work) => {
      binding.muteSharedGroup(id, 1);
      try {
        return work();
      } finally {
        binding.muteSharedGroup(id, 0);
      }
    },
    times: () => {
      const [exchangeMs, waitMs] = binding.sharedGroupTimes(id);
      return { exchangeMs, waitMs };
    },
    close: () => binding.closeSharedGroup(id),
  };
}

function settingsOf({
  path,
  rank,
  size,
  capacityBytes = DEFAULT_CAPACITY_BYTES,
  timeoutMs = DEFAULT_TIMEOUT_MS,
}: SharedGroupOptions): [string, number, number, number, number] {
  if (!Number.isInteger(size) || size < 1 || size > MAX_RANKS)
    throw new Error(`A shared group has 1 to ${MAX_RANKS} ranks; ${size} were asked for`);
  if (!(capacityBytes >= MIN_CAPACITY_BYTES))
    throw new Error(`capacityBytes is ${capacityBytes}; it must be at least ${MIN_CAPACITY_BYTES}`);
  if (!(timeoutMs > 0)) throw new Error(`timeoutMs is ${timeoutMs}; it must be above 0`);
  const capacity = Math.ceil(capacityBytes / LINE_BYTES) * LINE_BYTES;
  return [path, checkRank(rank, size, 'rank'), size, capacity, timeoutMs];
}

function checkRank(rank: number, size: number, name: string): number {
  if (!Number.isInteger(rank) || rank < 0 || rank >= size)
    throw new Error(`${name} is ${rank}; a group of ${size} has 0 to ${size - 1}`);
  return rank;
}

/** Tensors in a row, cut where a bucket would grow beyond its size. */
function bucketsOf(tensors: readonly TfTensor[]): TfTensor[][] {
  const buckets: TfTensor[][] = [];
  let left = 0;
  for (const tensor of tensors) {
    const bytes = tensor.size * Float32Array.BYTES_PER_ELEMENT;
    if (buckets.length === 0 || bytes > left) {
      buckets.push([]);
      left = BUCKET_BYTES;
    }
    buckets.at(-1)!.push(tensor);
    left -= bytes;
  }
  return buckets;
}

const SUM = 'LatheSharedSum';

function sum(tensors: readonly TfTensor[], group: number): TfTensor[] {
  for (const { dtype } of tensors)
    if (dtype !== 'float32') throw new Error(`Shared groups sum float32 tensors; one is ${dtype}`);
  const inputs = Object.fromEntries(tensors.map((tensor, index) => [`x${index}`, tensor]));
  return [tf.engine().runKernel<TfTensor | TfTensor[]>(SUM, inputs, { group })].flat();
}

tf.registerKernel({
  kernelName: SUM,
  backendName: 'tensorflow',
  kernelFunc: ({ inputs, attrs }) => {
    const tensors = Object.values(inputs) as TfTensor[];
    const group = attrs!['group'] as number;
    return rawListOp(SUM, tensors, { count: { int: tensors.length }, group: { int: group } });
  },
});

/** y = sum over r of x_r on every rank, so dx_r = sum over s of dy_s. */
tf.registerGradient({
  kernelName: SUM,
  gradFunc: (dy, _saved, attrs) => {
    const gradients = sum([dy].flat(), attrs['group'] as number);
    return Object.fromEntries(gradients.map((gradient, index) => [`x${index}`, () => gradient]));
  },
});

/** Tensors of one type go together. */
function broadcast(tensors: readonly TfTensor[], group: number, root: number): TfTensor[] {
  const wrong = tensors.find(({ dtype }) => dtype !== 'float32' && dtype !== 'int32');
  if (wrong) throw new Error(`Shared groups broadcast float32 and int32 tensors; one is ${wrong.dtype}`);
  const values = { float32: [] as TfTensor[], int32: [] as TfTensor[] };
  for (const dtype of ['float32', 'int32'] as const) {
    const some = tensors.filter((tensor) => tensor.dtype === dtype);
    if (some.length === 0) continue;
    const attributes = { count: { int: some.length }, T: { type: dtype }, group: { int: group }, root: { int: root } };
    values[dtype] = rawListOp('LatheSharedBroadcast', some, attributes);
  }
  return tensors.map(({ dtype }) => values[dtype as 'float32' | 'int32'].shift()!);
}
