/** The frozen teacher's forward pass over a batch, shared by all terms that learn from it. */
import { LatheError } from '../../errors.ts';
import type { Network } from '../network/network.ts';
import type { Value } from '../operators/operator.ts';
import type { TfTensor, TfVariable } from '../tensor/tf.ts';
import { floatTensor, type BatchFeeds } from './feeds.ts';
import { validRows, padRows, fixedBatchOf, type Rows } from './rows.ts';
import { elementAt, entryOf } from '../ir/checked-access.ts';

type PreparedBatch = Pick<BatchFeeds, 'feeds' | 'rows'>;

/** A requested value by its name. */
type ValueOf = (name: string) => TfTensor;

export class TeacherForward {
  readonly network: Network;
  private readonly wanted = new Set<string>();
  private last: { readonly batch: BatchFeeds['feeds']; readonly values: ValueOf } | null = null;

  constructor(network: Network) {
    this.network = network;
  }

  /** The `variables` of terms that learn from it. */
  get variables(): TfVariable[] {
    return [...this.network.parameters, ...this.network.state].map(({ variable }) => variable);
  }

  /** Requests values (outputs or intermediate ones) that `values` will return; call before the first run. */
  request(names: readonly string[]): void {
    for (const name of names) this.wanted.add(name);
  }

  /**
   * The requested values as float tensors in ONNX's order of axes, for the samples that count. Terms share one run per
   * batch.
   * @throws LatheError `shape-mismatch` if the teacher's file fixes a smaller batch
   */
  values({ feeds, rows }: PreparedBatch): ValueOf {
    if (this.last?.batch === feeds) return this.last.values;
    const run = { counted: rows.counted, run: fixedBatchOf(this.network) ?? rows.run };
    const { outputs } = this.network.run(refilled(renamed(feeds, this.network), rows, run), {
      training: false,
      fetch: [...this.wanted],
    });
    const tensors = new Map(
      [...this.wanted].map((name) => [name, validRows(floatTensor(entryOf(outputs, name, 'teacher value')), run)]),
    );
    const values = (name: string) => entryOf(tensors, name, 'requested teacher value');
    this.last = { batch: feeds, values };
    return values;
  }
}

/** The same data under the teacher's input names: by name if it has it, else by position. */
function renamed(feeds: ReadonlyMap<string, Value>, teacher: Network): Map<string, Value> {
  const byPosition = [...feeds.values()];
  return new Map(
    teacher.inputs.map(({ name }, i) => [name, feeds.get(name) ?? elementAt(byPosition, i, 'input of the student')]),
  );
}

/** Pads the student's samples to the batch size that the teacher's file fixes. */
function refilled(feeds: ReadonlyMap<string, Value>, from: Rows, to: Rows): ReadonlyMap<string, Value> {
  if (from.run === to.run) return feeds;
  if (from.counted > to.run)
    throw new LatheError(
      'shape-mismatch',
      `the teacher takes batches of ${to.run} and nothing else, the student's have ${from.run}; give ` +
        `training.batchSize ${to.run}`,
    );
  return new Map(
    [...feeds].map(([name, value]) => [
      name,
      value.kind === 'device' ? { ...value, tensor: padRows(validRows(value.tensor, from), to) } : value,
    ]),
  );
}
