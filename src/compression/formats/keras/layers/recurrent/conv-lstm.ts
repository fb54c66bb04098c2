/** ConvLSTM layers: a Scan of a convolutional cell. */
import { itemOf } from '../../../../ir/checked-access.ts';
import { dataFormat, flag, UnsupportedLayer, type Config, type LayerContext } from '../../layer.ts';
import { plain, plainSignal, toChannelsFirst, toChannelsLast, type Signal } from '../../signal.ts';
import { convLstmCell } from '../cells.ts';
import { scanCell } from '../scan.ts';
import { checkInitial, type Pass, type PassInput } from './pass.ts';

export const CONV_RANKS: Readonly<Record<string, number>> = { ConvLSTM1D: 1, ConvLSTM2D: 2, ConvLSTM3D: 3 };

/** Steps [n, t, ...spatial, c] go channels first through the recurrence, and back. */
export function runConvLstm(
  ctx: LayerContext,
  rank: number,
  config: Config,
  { signal, arrays, initial, mask }: PassInput,
): Pass {
  const { b, name } = ctx;
  const first = dataFormat(config) === 'channels_first';
  const [batch = null, steps = null, ...step] = signal.shape;
  const spatial = first ? step.slice(1) : step.slice(0, -1);
  if (spatial.some((size) => size === null))
    throw new UnsupportedLayer('a convolutional recurrence over images of dynamic size is not supported');
  const cell = convLstmCell({ ctx, config, arrays }, rank, spatial);
  const inStep = (perm: readonly number[]): number[] => [0, 1, ...perm.slice(1).map((axis) => axis + 1)];
  const x = first
    ? plain(b, signal)
    : b.op('Transpose', [plain(b, signal)], { perm: inStep(toChannelsFirst(rank + 2)) }, `${name}/steps`);
  const states = checkInitial(initial, 2).map((state) =>
    first
      ? plain(b, state)
      : b.op('Transpose', [plain(b, state)], { perm: toChannelsFirst(rank + 2) }, `${name}/initial`),
  );
  const sizes = cell.outputSizes;
  const lastSizes = [...sizes.slice(1), itemOf(sizes, 0, 'the output of the cell')];
  const scanned = scanCell(b, name, {
    cell,
    x,
    stepShape: [itemOf(step, first ? 0 : -1, 'the shape of a step'), ...spatial],
    steps,
    mask,
    zeroOutput: flag(config, 'zero_output_for_mask', false),
    backwards: flag(config, 'go_backwards', false),
    initial: states,
  });
  const image = (value: string): Signal =>
    first ? plainSignal(value, [batch, ...sizes]) : { value, shape: [batch, ...lastSizes], channelsFirst: true };
  if (!flag(config, 'return_sequences', false))
    return { output: image(scanned.last), states: scanned.states.map(image) };
  const output = first
    ? plainSignal(scanned.sequence, [batch, steps, ...sizes])
    : plainSignal(
        b.op('Transpose', [scanned.sequence], { perm: inStep(toChannelsLast(rank + 2)) }, `${name}/sequence`),
        [batch, steps, ...lastSizes],
      );
  return { output, states: scanned.states.map(image) };
}
