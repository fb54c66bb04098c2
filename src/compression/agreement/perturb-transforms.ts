/**
 * Fourier transforms lose more to rounding than sums do. Where the frame length n is not a power of two, onnxruntime
 * uses Bluestein's algorithm (1970) and computes its chirp exp(i pi k^2 / n) from angles of up to pi n in float32, with
 * an error of up to pi n 2^-24, 7.5e-5 for n = 400. The result is the transform of a frame whose samples differ by as
 * much, which matters where a Log of a quiet band follows.
 */
import { inputName } from '../ir/checked-access.ts';
import { freshNames, makeNode, withInitializers } from '../ir/edit.ts';
import { inferShapes } from '../graph/infer.ts';
import { fromHost } from '../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../ir/types.ts';

/** Input of STFT that weighs the samples of a frame. */
const WINDOW = 2;
/**
 * A tenth of float32's unit roundoff: rounding.ts multiplies the effect of perturbations by ten, but this error is
 * already a bound.
 */
const ROUNDOFF = 2 ** -24 / 10;

/** The model with every sample of such frames moved up or down by that error, through the windows of its STFTs. */
export function perturbTransforms(model: Model, random: () => number): Model {
  if (!model.graph.nodes.some(isTransform)) return model;
  const types = inferShapes(model);
  const fresh = freshNames(model);
  const noises: Tensor[] = [];
  const nodes = model.graph.nodes.flatMap((node): Node[] => {
    const window = isTransform(node) ? types.typeOf(inputName(node, WINDOW)) : null;
    const length = window?.shape?.[0];
    if (!window || typeof length !== 'number' || Number.isInteger(Math.log2(length))) return [node];
    const [noise, moved] = [fresh('noise'), fresh('moved')];
    const error = Math.PI * length * ROUNDOFF;
    noises.push(
      fromHost(noise, {
        dtype: window.dtype,
        dims: [length],
        data: Float32Array.from({ length }, () => (random() < 0.5 ? 1 - error : 1 + error)),
      }),
    );
    const nudge = makeNode('Mul', [inputName(node, WINDOW), noise], [moved]);
    return [nudge, { ...node, inputs: node.inputs.map((name, i) => (i === WINDOW ? moved : name)) }];
  });
  return { ...model, graph: withInitializers({ ...model.graph, nodes }, noises) };
}

const isTransform = ({ opType, domain, inputs }: Node): boolean =>
  opType === 'STFT' && domain === '' && (inputs[WINDOW] ?? '') !== '';
