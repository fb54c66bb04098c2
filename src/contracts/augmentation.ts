/** Random changes of training samples: one entry of `loader.augment`. Each names the paper that it follows. */
import { Type, type Static, type TObject } from 'typebox';

const share = (byDefault: number, description: string) =>
  Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: byDefault, description }));
const deviation = (byDefault: number, description: string) =>
  Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100, default: byDefault, description }));

const Flip = Type.Object(
  {
    kind: Type.Literal('flip'),
    direction: Type.Optional(
      Type.Enum(['horizontal', 'vertical'], { default: 'horizontal', description: 'horizontal: left becomes right' }),
    ),
    probability: share(0.5, 'share of the samples that are flipped'),
  },
  { additionalProperties: false, description: 'images: mirrors (Krizhevsky et al. 2012)' },
);

const Crop = Type.Object(
  {
    kind: Type.Literal('crop'),
    padding: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 4096, default: 4, description: 'pixels of value 0 added on every side' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'images: pads, then cuts out the old size at a random place (He et al. 2016, arXiv 1512.03385)',
  },
);

const Shift = Type.Object(
  {
    kind: Type.Literal('shift'),
    x: share(0.1, "most, to either side, as a share of the image's width"),
    y: share(0.1, "most, up or down, as a share of the image's height"),
  },
  {
    additionalProperties: false,
    description: 'images: moves by whole pixels; what becomes free is 0 (Simard et al. 2003)',
  },
);

const Rotate = Type.Object(
  {
    kind: Type.Literal('rotate'),
    degrees: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: 180, default: 15, description: 'most, in either direction' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'images: turns about the centre, bilinear; what becomes free is 0 (Simard et al. 2003)',
  },
);

const strength = (what: string, byDefault = 0.2) =>
  share(byDefault, `${what}: the factor is drawn from 1 - value to 1 + value`);

const Colour = Type.Object(
  {
    kind: Type.Literal('colour'),
    brightness: strength('all values'),
    contrast: strength('distance to the mean grey'),
    saturation: strength('distance to the grey of the pixel'),
    hue: Type.Optional(
      Type.Number({ minimum: 0, maximum: 0.5, default: 0, description: 'most, as a share of the colour circle' }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'uint8 images of 1 or 3 channels: brightness, contrast, saturation, hue, in this order (Howard 2013, ' +
      'arXiv 1312.5402; the formulas of torchvision)',
  },
);

const Cutout = Type.Object(
  {
    kind: Type.Literal('cutout'),
    size: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 4096, default: 8, description: 'side of the square in pixels' }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'images: a square about a random pixel becomes 0 in the input of the model, that is, the mean (DeVries and ' +
      'Taylor 2017, arXiv 1708.04552)',
  },
);

const Mixup = Type.Object(
  {
    kind: Type.Literal('mixup'),
    alpha: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        default: 0.2,
        description: 'the share of the other sample is drawn from Beta(alpha, alpha)',
      }),
    ),
  },
  {
    additionalProperties: false,
    description:
      'samples of any kind: each is mixed with another one of its batch, and so is the target (Zhang et al. 2018, ' +
      'arXiv 1710.09412)',
  },
);

const Noise = Type.Object(
  {
    kind: Type.Literal('noise'),
    sigma: deviation(0.05, 'standard deviation, in units of the input of the model (after transform)'),
  },
  {
    additionalProperties: false,
    description: 'series and tables: adds normal noise to every value (Um et al. 2017, arXiv 1706.00527: jittering)',
  },
);

const Scale = Type.Object(
  {
    kind: Type.Literal('scale'),
    sigma: deviation(0.1, 'standard deviation of the factor, whose mean is 1'),
  },
  {
    additionalProperties: false,
    description:
      'series and tables: multiplies every channel (the last axis) by a random factor of its own (Um et al. 2017, ' +
      'arXiv 1706.00527)',
  },
);

/** By kind. */
export const AUGMENTATIONS = {
  flip: Flip,
  crop: Crop,
  shift: Shift,
  rotate: Rotate,
  colour: Colour,
  cutout: Cutout,
  mixup: Mixup,
  noise: Noise,
  scale: Scale,
} as const satisfies Record<string, TObject>;

export const Augmentation = Type.Union([Flip, Crop, Shift, Rotate, Colour, Cutout, Mixup, Noise, Scale]);
export type Augmentation = Static<typeof Augmentation>;
export type AugmentationKind = keyof typeof AUGMENTATIONS;
