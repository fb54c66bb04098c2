/**
 * Attributes of which the engine computes only some values. Training treats a node that has one as it treats an
 * operator that the engine lacks; the attribute is never ignored. Attributes that the operator's schema lacks at its
 * opset are refused earlier (ir/check-schema.ts).
 *
 * Not in here, and not read, are attributes that change no value: `consumed_inputs` and `output_sequence` of early
 * opsets, `hidden_size` and `kernel_shape`, which the weights' shapes say too, `sorted: 0` of TopK (any order will do),
 * `chunk_size`, `accuracy_level`, and the seeds of operators whose draws are the engine's own.
 */
import type { Attribute, Node } from '../ir/types.ts';

/** Values that are computed, by operator and attribute. */
type SupportedValues = Readonly<Record<string, Readonly<Record<string, readonly (number | string)[]>>>>;

/** float32, and float64, which the engine computes in float32; a lower precision would round in between. */
const STASH_TYPE = { stash_type: [1, 11] } as const;
const AUTO_PAD = { auto_pad: ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] } as const;
const REDUCTION = { reduction: ['none', 'sum', 'mean'] } as const;
const DIRECTION = { direction: ['forward', 'reverse', 'bidirectional'] } as const;

const STANDARD: SupportedValues = {
  AveragePool: AUTO_PAD,
  Conv: AUTO_PAD,
  ConvInteger: AUTO_PAD,
  ConvTranspose: AUTO_PAD,
  LpPool: AUTO_PAD,
  MaxPool: AUTO_PAD,
  QLinearConv: AUTO_PAD,
  BatchNormalization: { spatial: [1], is_test: [1] },
  Dropout: { is_test: [1] },
  LayerNormalization: STASH_TYPE,
  RMSNormalization: STASH_TYPE,
  GroupNormalization: STASH_TYPE,
  LSTM: DIRECTION,
  GRU: DIRECTION,
  RNN: DIRECTION,
  NegativeLogLikelihoodLoss: REDUCTION,
  SoftmaxCrossEntropyLoss: REDUCTION,
  BitShift: { direction: ['LEFT', 'RIGHT'] },
  Gelu: { approximate: ['none', 'tanh'] },
  RoiAlign: { mode: ['avg', 'max'], coordinate_transformation_mode: ['half_pixel', 'output_half_pixel'] },
  StringNormalizer: { case_change_action: ['NONE', 'UPPER', 'LOWER'], locale: ['', 'C', 'en', 'en_US', 'en_GB'] },
};

const CONTRIB: SupportedValues = {
  EmbedLayerNormalization: { mask_index_type: [0] },
  GroupQueryAttention: {
    qk_output: [0],
    sliding_window_cache: [0],
    kv_cache_bit_width: [0],
    k_quant_type: ['', 'NONE'],
    v_quant_type: ['', 'NONE'],
  },
  MatMulNBits: { weight_prepacked: [0] },
  RotaryEmbedding: { scale: [1], is_packed_batching: [0] },
};

const TABLES: ReadonlyMap<string, SupportedValues> = new Map([
  ['', STANDARD],
  ['com.microsoft', CONTRIB],
]);

/** Why the engine cannot compute this node; null: it can. */
export function unsupportedAttribute(node: Node): string | null {
  const rules = TABLES.get(node.domain)?.[node.opType];
  for (const [name, values] of Object.entries(rules ?? {})) {
    const given = valueOf(node.attributes.get(name));
    if (given !== undefined && !values.includes(given))
      return (
        `its attribute "${name}" is ${JSON.stringify(given)}; the training engine computes ` +
        `${values.map((value) => JSON.stringify(value)).join(', ')} only`
      );
  }
  return null;
}

function valueOf(attribute: Attribute | undefined): number | string | undefined {
  return attribute?.kind === 'int' || attribute?.kind === 'float' || attribute?.kind === 'string'
    ? attribute.value
    : undefined;
}
