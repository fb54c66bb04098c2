/**
 * LSTM, GRU, SimpleRNN, ConvLSTM, RNN of cells, and Bidirectional around them: ONNX's own recurrent operators where
 * they compute the same, otherwise Scan.
 */
import { flag, input, type LayerConverter } from '../layer.ts';
import { bidirectional } from './recurrent/bidirectional.ts';
import { initialOf } from './recurrent/pass.ts';
import { run } from './recurrent/run.ts';

const recurrent: LayerConverter = (ctx) => {
  const { output, states } = run(
    ctx,
    { class_name: ctx.className, config: ctx.config },
    { signal: input(ctx), arrays: ctx.weights, initial: initialOf(ctx), mask: ctx.masks[0] ?? null },
  );
  if (flag(ctx.config, 'return_sequences', false)) ctx.setMask(output, ctx.masks[0] ?? null);
  return flag(ctx.config, 'return_state', false) ? [output, ...states] : output;
};

export const RECURRENT_LAYERS: Readonly<Record<string, LayerConverter>> = {
  LSTM: recurrent,
  GRU: recurrent,
  SimpleRNN: recurrent,
  RNN: recurrent,
  ConvLSTM1D: recurrent,
  ConvLSTM2D: recurrent,
  ConvLSTM3D: recurrent,
  CuDNNLSTM: recurrent,
  CuDNNGRU: recurrent,
  Bidirectional: bidirectional,
};
