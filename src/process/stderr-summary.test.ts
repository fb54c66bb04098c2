import { expect, it } from 'vitest';
import { stderrSummary } from './stderr-summary.ts';

const chatter = [
  'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
  'I0000 00:00:1795694999.978334   16637 port.cc:153] oneDNN custom operations are on.',
  '2026-11-26 12:09:59.978: W tensorflow/core/platform/cpu_feature_guard.cc:210] This binary is optimized.',
];

it.each([
  ['what was thrown last', ['one', ...chatter, 'RangeError: too long'], 'RangeError: too long'],
  [
    'what was thrown, behind which the engine spoke of itself',
    ['RangeError: too long', ...chatter],
    'RangeError: too long',
  ],
  ['nothing where only the engine spoke of itself', chatter, ''],
  [
    'an error of TensorFlow',
    [chatter[0]!, 'F0000 00:00:1795694999.978334   16637 tensor.cc:10] Check failed'],
    'F0000 00:00:1795694999.978334   16637 tensor.cc:10] Check failed',
  ],
])('%s', (_, lines, expected) => expect(stderrSummary(`${lines.join('\n')}\n`)).toBe(expected));
