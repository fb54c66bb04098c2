/**
 * Makes batches out of samples of a split, in any thread: what a batch holds follows from the request alone. Samples
 * that cannot be decoded are replaced by others, drawn from seed, epoch and sample.
 */
import type { Augmentation } from '../../../contracts/augmentation.ts';
import { LatheError } from '../../../errors.ts';
import { mapConcurrently } from '../concurrency.ts';
import type { HostArray, RawSamples, ReadOptions, Split } from '../dataset.ts';
import { seededRandom } from '../random.ts';
import { completeAugmentations, type Augmentations } from './augment/defaults.ts';
import { mixupPartners, mixupShare } from './augment/mixup.ts';
import { inputMakers, type InputMaker } from './input-maker.ts';
import { batchArrays, batchBytes, rowOf, type BatchArrays, type BatchForm, type RowForm } from './memory.ts';
import { mixRows, mixTargets } from './mix-rows.ts';
import { imageSizeOf, planSamples, type PlanOptions, type SamplePlan } from './plan.ts';

export interface MakerOptions extends PlanOptions {
  readonly seed: number;
  readonly augment: readonly Augmentation[];
  /** Scores that the model gives for a sample; mixed classes become as many shares. Needed for mixup of classes. */
  readonly classes?: number;
}

export interface BatchRequest {
  readonly epoch: number;
  /** Its number in the epoch. */
  readonly batch: number;
  /** Sample numbers of the whole batch. */
  readonly samples: Int32Array;
  /** The rows that are wanted: [from, to). */
  readonly from: number;
  readonly to: number;
}

export interface BrokenSample {
  readonly sample: number;
  readonly reason: string;
}

/** Replacements tried for one sample before the dataset is given up. */
const MAX_REPLACEMENTS = 100;
const REPLACEMENT_STREAM = 0x62726b;

interface Ready {
  readonly plan: SamplePlan;
  readonly makers: readonly InputMaker[];
  readonly form: BatchForm;
}

export class BatchMaker {
  private ready: Ready | null = null;
  private readonly split: Split;
  private readonly options: MakerOptions;
  private readonly augment: Augmentations;
  private readonly readOptions: ReadOptions;

  /** @param concurrency files decoded at the same time. @param plan found by another thread */
  constructor(split: Split, options: MakerOptions, concurrency: number, plan: SamplePlan | null = null) {
    const imageSize = imageSizeOf(options);
    this.split = split;
    this.options = options;
    this.augment = completeAugmentations(options.augment);
    this.readOptions = { ...(imageSize && { imageSize }), concurrency };
    if (plan) this.ready = this.prepare(plan);
  }

  /** Known as soon as a batch was made, or `sizeOf` was called. */
  get plan(): SamplePlan | null {
    return this.ready?.plan ?? null;
  }

  /** What `Split.share` is to be called with. */
  get reading(): ReadOptions {
    return this.readOptions;
  }

  /** Bytes that a batch of `rows` samples takes; reads a sample where none was read yet. */
  async sizeOf({ samples, epoch }: BatchRequest, rows: number): Promise<number> {
    this.ready ??= this.prepare(
      planSamples((await this.readSample(samples[0] ?? 0, epoch, new Map())).raw, this.options),
    );
    return batchBytes(this.ready.form, rows);
  }

  /** The arrays of a batch of `rows` samples in a buffer of `sizeOf` bytes. */
  arrays(rows: number, buffer: ArrayBufferLike): BatchArrays & { readonly names: readonly string[] } {
    const { form } = this.prepared();
    return { ...batchArrays(form, rows, buffer), names: form.inputs.map(({ name }) => name) };
  }

  /** Fills the buffer. @returns samples that had to be replaced, in order */
  async make(request: BatchRequest, buffer: ArrayBufferLike): Promise<BrokenSample[]> {
    const broken = new Map<number, string>();
    const arrays = this.arrays(request.to - request.from, buffer);
    const { mixupAlpha } = this.augment;
    if (mixupAlpha === null) {
      const wanted = Array.from(request.samples.subarray(request.from, request.to));
      await this.fill(wanted, request.epoch, arrays, broken);
    } else await this.fillMixed(request, mixupAlpha, arrays, broken);
    this.checkShared(arrays);
    return [...broken].sort(([a], [b]) => a - b).map(([sample, reason]) => ({ sample, reason }));
  }

  private prepared(): Ready {
    if (!this.ready) throw new Error('no sample has been read yet');
    return this.ready;
  }

  private prepare(plan: SamplePlan): Ready {
    const { seed, transform } = this.options;
    const makers = inputMakers(plan, { seed, transform, augment: this.augment });
    return { plan, makers, form: { inputs: makers, target: plan.target && this.targetForm(plan.target) } };
  }

  /** Classes that are mixed become shares. */
  private targetForm(stored: RowForm): RowForm {
    if (this.augment.mixupAlpha === null || stored.dtype !== 'int32') return stored;
    const { classes } = this.options;
    if (classes === undefined || stored.shape.length > 0)
      throw new LatheError(
        'invalid-request',
        'mixup mixes one class or one set of values a sample; leave it out of loader.augment for these targets',
      );
    return { dtype: 'float32', shape: classes === 1 ? [] : [classes] };
  }

  private async fill(
    samples: readonly number[],
    epoch: number,
    { inputs, target }: BatchArrays,
    broken: Map<number, string>,
  ): Promise<void> {
    const { makers } = this.prepared();
    await this.read(samples, epoch, broken, (row, raw, at, sample) => {
      makers.forEach((maker, i) => {
        maker.make(rowOf(raw.inputs.get(maker.from)!, at), rowOf(inputs[i]!, row), sample, epoch);
      });
      if (target && raw.target) rowOf(target, row).set(rowOf(raw.target, at) as never); // of one type
    });
  }

  /** Makes the rows and those that they are mixed with, each once, then mixes. */
  private async fillMixed(
    { epoch, batch, samples, from, to }: BatchRequest,
    alpha: number,
    arrays: BatchArrays,
    broken: Map<number, string>,
  ): Promise<void> {
    const { seed } = this.options;
    const { form, plan } = this.prepared();
    const partners = mixupPartners(seed, epoch, batch, samples.length);
    const places = [...new Set(Array.from({ length: to - from }, (_, i) => [from + i, partners[from + i]!]).flat())];
    const unmixed: BatchForm = { ...form, target: plan.target };
    const made = batchArrays(unmixed, places.length, new ArrayBuffer(batchBytes(unmixed, places.length)));
    await this.fill(
      places.map((place) => samples[place]!),
      epoch,
      made,
      broken,
    );
    const rowAt = new Map(places.map((place, row) => [place, row]));
    for (let row = 0; row < to - from; row++) {
      const mixture = {
        share: mixupShare(seed, epoch, samples[from + row]!, alpha),
        a: rowAt.get(from + row)!,
        b: rowAt.get(partners[from + row]!)!,
      };
      arrays.inputs.forEach((input, i) => mixRows(input, row, made.inputs[i]!, mixture));
      if (arrays.target && made.target) mixTargets(arrays.target, row, made.target, mixture);
    }
  }

  private async read(
    samples: readonly number[],
    epoch: number,
    broken: Map<number, string>,
    visit: (row: number, raw: RawSamples, at: number, sample: number) => void,
  ): Promise<void> {
    if (!this.split.isDecoded) {
      const raw = await this.split.read(samples, this.readOptions);
      samples.forEach((sample, row) => visit(row, raw, row, sample));
      return;
    }
    await mapConcurrently(samples, this.readOptions.concurrency ?? 1, async (wanted, row) => {
      const { raw, sample } = await this.readSample(wanted, epoch, broken);
      visit(row, raw, 0, sample);
    });
  }

  /** The sample, or the first one of its replacements that can be read. */
  private async readSample(
    wanted: number,
    epoch: number,
    broken: Map<number, string>,
  ): Promise<{ raw: RawSamples; sample: number }> {
    let sample = wanted;
    for (let attempt = 0; ; attempt++) {
      try {
        return { raw: await this.split.read([sample], this.readOptions), sample };
      } catch (error) {
        if (!this.split.isDecoded || !(error instanceof LatheError) || error.code !== 'malformed-dataset') throw error;
        broken.set(sample, error.errors[0]?.message ?? error.message);
        if (attempt === MAX_REPLACEMENTS) throw error;
        const draw = seededRandom(this.options.seed, epoch, wanted, REPLACEMENT_STREAM + attempt);
        sample = Math.floor(draw() * this.split.length);
      }
    }
  }

  /** For an input without axes the samples of a batch must agree. */
  private checkShared({ inputs }: BatchArrays): void {
    this.prepared().makers.forEach(({ isShared, name }, i) => {
      const { data, shape } = inputs[i] as HostArray;
      if (isShared && (shape.length !== 1 || data.some((value) => value !== data[0])))
        throw new LatheError(
          'shape-mismatch',
          `model input "${name}" is a single number, and the samples of a batch differ in it`,
        );
    });
  }

  /** Names of the inputs that are one number for the whole batch. */
  get shared(): ReadonlySet<string> {
    return new Set(
      this.prepared()
        .makers.filter(({ isShared }) => isShared)
        .map(({ name }) => name),
    );
  }
}
