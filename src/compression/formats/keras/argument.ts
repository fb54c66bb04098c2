/** Arguments of a call as they are serialized: tensors, constants, slices, nested as they were given. */
import { tensorRef, type TensorRef } from './config.ts';
import type { Config } from './layer.ts';
import type { Signal } from './signal.ts';

export interface Slice {
  readonly kind: 'slice';
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number | null;
}

/** An array that was given as a constant. */
export interface Literal {
  readonly kind: 'literal';
  readonly value: unknown;
}

export type Argument =
  | Signal
  | Slice
  | Literal
  | { readonly kind: 'ellipsis' }
  | number
  | string
  | boolean
  | null
  | readonly Argument[];

export const isSignal = (argument: Argument | undefined): argument is Signal =>
  typeof argument === 'object' && argument !== null && 'channelsFirst' in argument;
export const isList = (argument: Argument | undefined): argument is readonly Argument[] => Array.isArray(argument);

/** `find` gives the signal of a tensor that earlier layers made. */
export function readArgument(value: unknown, find: (ref: TensorRef) => Signal | undefined): Argument {
  const ref = tensorRef(value);
  if (ref) return find(ref) ?? null;
  if (Array.isArray(value)) return value.map((item) => readArgument(item, find));
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null) return null;
  return readObject(value as Config);
}

function readObject(value: Config): Argument {
  const config = (value['config'] ?? {}) as Config;
  const end = (key: string, old: string): number | null =>
    typeof (config[key] ?? value[old]) === 'number' ? Number(config[key] ?? value[old]) : null;
  switch (value['class_name']) {
    case '__slice__':
      return { kind: 'slice', start: end('start', 'start'), stop: end('stop', 'stop'), step: end('step', 'step') };
    case '__ellipsis__':
      return { kind: 'ellipsis' };
    case '__numpy__':
    case '__tensor__':
      return { kind: 'literal', value: config['value'] };
    default:
      break;
  }
  // Keras 2 writes a slice as a bare object.
  if ('start' in value && 'stop' in value)
    return { kind: 'slice', start: end('', 'start'), stop: end('', 'stop'), step: end('', 'step') };
  throw new Error(`an argument of class "${String(value['class_name'] ?? 'dictionary')}" is not supported`);
}
