/** Choosing boxes: NonMaxSuppression. */
import { nth } from '../ir/checked-access.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import { onHost, ONNX_ORDER, ZERO, type HostForm, needs } from './define.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Operator } from './operator.ts';

interface Box {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** Corners in any order, or centre and size. */
function boxOf(values: readonly number[], centred: boolean): Box {
  const [a, b, c, d] = values as [number, number, number, number];
  if (centred) return { left: a - c / 2, top: b - d / 2, right: a + c / 2, bottom: b + d / 2 };
  return { top: Math.min(a, c), left: Math.min(b, d), bottom: Math.max(a, c), right: Math.max(b, d) };
}

const area = ({ top, left, bottom, right }: Box): number => Math.max(0, bottom - top) * Math.max(0, right - left);

/** Intersection over union; 0 where a box is empty. */
function overlap(a: Box, b: Box): number {
  const common = area({
    top: Math.max(a.top, b.top),
    left: Math.max(a.left, b.left),
    bottom: Math.min(a.bottom, b.bottom),
    right: Math.min(a.right, b.right),
  });
  const union = area(a) + area(b) - common;
  return union <= 0 || area(a) <= 0 || area(b) <= 0 ? 0 : common / union;
}

const single = (input: HostTensor | null | undefined, fallback: number): number =>
  input && input.data.length > 0 ? nth(hostNumbers(input), 0) : fallback;

/**
 * boxes [n, s, 4], scores [n, c, s] -> [selected, 3]: image, class, box; picked greedily by score, the first of equal
 * ones.
 */
const nonMaxSuppression: HostForm = needs(2, ([boxes, scores, count, iou, least], info) => {
  const [images, spots] = boxes.dims as [number, number];
  const classes = nth(scores.dims, 1);
  const [corners, values] = [hostNumbers(boxes), hostNumbers(scores)];
  const [most, limit, floor] = [single(count, 0), single(iou, 0), single(least, -Infinity)];
  const chosen: number[] = [];
  for (let image = 0; image < images; image++)
    for (let label = 0; label < classes; label++) {
      const score = (spot: number): number => values[(image * classes + label) * spots + spot]!;
      const candidates = Array.from({ length: spots }, (_, spot) => spot)
        .filter((spot) => score(spot) > floor)
        .sort((a, b) => score(b) - score(a) || a - b);
      const kept: Box[] = [];
      for (const spot of candidates) {
        if (kept.length >= most) break;
        const box = boxOf(
          corners.slice((image * spots + spot) * 4, (image * spots + spot) * 4 + 4),
          info.int('center_point_box', 0) === 1,
        );
        if (kept.some((other) => overlap(other, box) > limit)) continue;
        kept.push(box);
        chosen.push(image, label, spot);
      }
    }
  return [{ dtype: 'int64', dims: [chosen.length / 3, 3], data: BigInt64Array.from(chosen, BigInt) }];
});

export const detectionOperators: readonly Operator[] = [
  {
    type: 'NonMaxSuppression',
    domain: '',
    since: 10,
    layout: ONNX_ORDER,
    differentiability: ZERO,
    infer: () => [{ dtype: 'int64', shape: [null, 3] }],
    host: nonMaxSuppression,
    device: onHost(nonMaxSuppression),
  },
];
