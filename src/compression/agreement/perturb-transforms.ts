/**
 * Fourier transforms are rounded more than sums are. For frames whose length n is no power of two onnxruntime takes
 * Bluestein's algorithm (1970), whose chirp exp(i pi k^2 / n) it computes from angles of up to pi n in float32: wrong
 * by up to pi n 2^-24, 7.5e-5 for n = 400. The transform of a frame is then that of one whose samples differ by as
 * much. In front of a Log of what is left in a quiet band that is far from little.
 */
import { freshNames, withInitializers } from '../ir/edit.ts';
import { inferShapes, type TypeTable } from '../graph/infer.ts';
import { fromHost } from '../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../ir/types.ts';

/** Input of STFT that weighs the samples of a frame. */
const WINDOW = 2;
/**
 * Float32's unit roundoff; a tenth of it, since what nudges do is taken tenfold (rounding.ts), and this error is a
 * bound as it is.
 */
const ROUNDOFF = 2 ** -24 / 10;

/** The model with every sample of such frames moved up or down by that error, through the windows of its STFTs. */
export function perturbTransforms(model: Model, random: () => number): Model {
  if (!model.graph.nodes.some(isTransform)) return model;
  const types = inferShapes(model);
  const fresh = freshNames(model);
  const noises: Tensor[] = [];
  const nodes = model.graph.nodes.flatMap((node): Node[] => {
    const length = isTransform(node) ? windowLength(node, types) : null;
    if (length === null || Number.isInteger(Math.log2(length))) return [node];
    const [noise, moved] = [fresh('noise'), fresh('moved')];
    const error = Math.PI * length * ROUNDOFF;
    noises.push(
      fromHost(noise, {
        dtype: types.typeOf(node.inputs[WINDOW]!)!.dtype,
        dims: [length],
        data: Float32Array.from({ length }, () => (random() < 0.5 ? 1 - error : 1 + error)),
      }),
    );
    const nudge: Node = {
      name: moved,
      opType: 'Mul',
      domain: '',
      inputs: [node.inputs[WINDOW]!, noise],
      outputs: [moved],
      attributes: new Map(),
    };
    return [nudge, { ...node, inputs: node.inputs.map((name, i) => (i === WINDOW ? moved : name)) }];
  });
  return { ...model, graph: withInitializers({ ...model.graph, nodes }, noises) };
}

const isTransform = ({ opType, domain, inputs }: Node): boolean =>
  opType === 'STFT' && domain === '' && (inputs[WINDOW] ?? '') !== '';

function windowLength({ inputs }: Node, types: TypeTable): number | null {
  const length = types.typeOf(inputs[WINDOW]!)?.shape?.[0];
  return typeof length === 'number' ? length : null;
}
