/** Which samples are images, and how their axes lie. */
import type { TensorDescription } from '../../../contracts/model.ts';
import type { InputPlan } from '../layout.ts';

export interface ImageLayout {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** [c, h, w]; otherwise [h, w, c]. */
  readonly isChannelsFirst: boolean;
}

/** What is known before any sample was read: sizes may be null. */
export type OpenImageLayout = { readonly [K in keyof ImageLayout]: ImageLayout[K] | null } & {
  readonly isChannelsFirst: boolean;
};

interface Planned {
  /** Without the sample axis. */
  readonly stored: { readonly shape: readonly (number | null)[] };
  readonly input: TensorDescription;
  readonly plan: InputPlan;
}

/**
 * Null where the samples are no images. Images are what `planInput` takes for images, and arrays of three axes that a
 * model takes as [n, c, h, w] or [n, h, w, c].
 */
export function openImageLayout({ stored, plan }: Planned): OpenImageLayout | null {
  if (plan.kind === 'image') {
    const [height, width] = [plan.size[0] ?? stored.shape[0] ?? null, plan.size[1] ?? stored.shape[1] ?? null];
    return { height, width, channels: plan.channels, isChannelsFirst: false };
  }
  const shape = plan.shape.map((size, axis) => size ?? stored.shape[axis] ?? null);
  if (shape.length !== 3 || plan.channelAxis === null) return null;
  const [a = null, b = null, c = null] = shape;
  return plan.channelAxis === 0
    ? { channels: a, height: b, width: c, isChannelsFirst: true }
    : { height: a, width: b, channels: c, isChannelsFirst: false };
}

export function imageLayout(planned: Planned): ImageLayout | null {
  const layout = openImageLayout(planned);
  if (!layout) return null;
  const { height, width, channels, isChannelsFirst } = layout;
  return height === null || width === null || channels === null ? null : { height, width, channels, isChannelsFirst };
}
