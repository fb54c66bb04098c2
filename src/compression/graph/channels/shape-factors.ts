/**
 * Freezes factors that a model computes from its own widths, such as the 1 / sqrt(d) of exported attention: they are
 * part of the trained function and must not follow d when it shrinks.
 */
import { inferShapes } from '../infer.ts';
import { foldConstants } from '../passes/fold-constants.ts';
import { elementCount, isFloat } from '../../ir/tensor-data.ts';
import type { Model, Node } from '../../ir/types.ts';

/** The model with single floats cast from known sizes as constants. */
export function fixShapeFactors(model: Model): Model {
  const types = inferShapes(model);
  const isFactor = (node: Node): boolean => {
    if (node.opType !== 'Cast' || node.domain !== '') return false;
    const [from, to] = [types.typeOf(node.inputs[0] ?? ''), types.typeOf(node.outputs[0] ?? '')];
    if (!from || !to || isFloat(from.dtype) || !isFloat(to.dtype)) return false;
    return to.shape?.every((dim) => typeof dim === 'number') === true && elementCount(to.shape) === 1;
  };
  return foldConstants(model, { where: isFactor });
}
