/** Shapes and options on which the engine's primitives are compared. */
import * as nn from '../../src/compression/tensor/nn.ts';

/** Winograd's filtering rounds twice as much, and 300 to 400 products sum up to 30, 1200 to 60. */
const MANY_CHANNELS = 1e-4;

export const convCases: { name: string; x: number[]; w: number[]; options: nn.ConvOptions; tolerance?: number }[] = [
  { name: 'pointwise', x: [2, 5, 6, 3], w: [1, 1, 3, 4], options: {} },
  // wrote beyond its memory
  { name: 'pointwise, strides that leave a rest', x: [2, 60, 60, 8], w: [1, 1, 8, 16], options: { strides: [2, 2] } },
  {
    name: '3 x 3 of many channels',
    x: [2, 15, 18, 33],
    w: [3, 3, 33, 50],
    options: { pads: [1, 1, 1, 1] },
    tolerance: MANY_CHANNELS,
  },
  {
    name: '3 x 3 of many channels, asymmetric pads',
    x: [3, 14, 13, 48],
    w: [3, 3, 48, 32],
    options: { pads: [0, 2, 1, 0] },
    tolerance: MANY_CHANNELS,
  },
  {
    name: '3 x 3 of many channels, few positions',
    x: [8, 4, 4, 130],
    w: [3, 3, 130, 150],
    options: { pads: [1, 1, 1, 1] },
    tolerance: 2 * MANY_CHANNELS,
  },
  {
    name: 'asymmetric pads, strides',
    x: [2, 7, 9, 3],
    w: [3, 2, 3, 4],
    options: { strides: [2, 1], pads: [1, 0, 2, 1] },
  },
  { name: 'strides that leave a rest', x: [1, 8, 7, 2], w: [3, 3, 2, 3], options: { strides: [3, 2] } },
  { name: 'dilated', x: [2, 9, 10, 2], w: [3, 2, 2, 3], options: { dilations: [2, 3], pads: [1, 2, 0, 1] } },
  {
    name: 'dilated and strided',
    x: [2, 11, 10, 2],
    w: [3, 2, 2, 3],
    options: { dilations: [2, 3], strides: [2, 2], pads: [1, 1, 2, 1] },
  },
  { name: 'pads beyond the kernel', x: [1, 4, 4, 2], w: [2, 2, 2, 3], options: { pads: [3, 3, 3, 3] } },
  { name: 'negative pads', x: [1, 7, 6, 2], w: [2, 2, 2, 3], options: { pads: [-1, 1, 0, -2] } },
  { name: 'grouped', x: [2, 6, 7, 6], w: [3, 3, 2, 9], options: { groups: 3, pads: [1, 1, 1, 1] } },
  {
    name: 'grouped, dilated, strided',
    x: [2, 9, 9, 4],
    w: [2, 3, 2, 6],
    options: { groups: 2, strides: [2, 3], dilations: [3, 1], pads: [0, 1, 1, 0] },
  },
  { name: 'depthwise', x: [2, 6, 7, 4], w: [3, 3, 1, 4], options: { groups: 4, pads: [1, 1, 1, 1] } },
  {
    name: 'depthwise, multiplier, stride',
    x: [2, 8, 7, 3],
    w: [3, 3, 1, 6],
    options: { groups: 3, strides: [2, 2], pads: [0, 1, 1, 1] },
  },
  {
    name: 'depthwise, dilated',
    x: [2, 9, 8, 3],
    w: [3, 2, 1, 6],
    options: { groups: 3, dilations: [2, 2], pads: [1, 1, 0, 1] },
  },
  { name: 'depthwise, two strides', x: [2, 9, 8, 3], w: [3, 2, 1, 3], options: { groups: 3, strides: [2, 1] } },
  { name: '1-D', x: [2, 11, 3], w: [4, 3, 5], options: { strides: [2], pads: [1, 2], dilations: [2] } },
  { name: '1-D depthwise', x: [2, 11, 3], w: [4, 1, 3], options: { groups: 3, pads: [3, 0] } },
  { name: '3-D', x: [1, 5, 6, 5, 2], w: [2, 3, 2, 2, 3], options: { strides: [1, 2, 1], pads: [1, 0, 1, 0, 1, 0] } },
  {
    name: '3-D, grouped, dilated, strided in depth',
    x: [1, 7, 5, 6, 4],
    w: [3, 2, 2, 2, 4],
    options: { groups: 2, strides: [2, 1, 2], dilations: [2, 1, 2], pads: [1, 1, 1, 1, 0, 1] },
  },
];

export const transposeCases: { name: string; x: number[]; w: number[]; options: nn.ConvTransposeOptions }[] = [
  {
    name: 'strided',
    x: [2, 4, 5, 3],
    w: [3, 2, 4, 3],
    options: { strides: [2, 2], pads: [1, 0, 0, 1], outputPadding: [1, 0] },
  },
  { name: 'dilated', x: [1, 5, 4, 2], w: [2, 3, 3, 2], options: { dilations: [2, 2], pads: [1, 1, 1, 1] } },
  { name: 'grouped', x: [2, 4, 4, 4], w: [3, 3, 3, 4], options: { groups: 2, strides: [2, 1] } },
  { name: 'depthwise', x: [2, 4, 4, 3], w: [2, 2, 1, 3], options: { groups: 3, strides: [2, 2] } },
  { name: '1-D', x: [2, 6, 3], w: [4, 2, 3], options: { strides: [3], pads: [1, 2], outputPadding: [2] } },
  { name: '3-D', x: [1, 3, 4, 3, 2], w: [2, 2, 3, 3, 2], options: { strides: [2, 1, 2], pads: [0, 1, 0, 1, 0, 1] } },
];

export const poolCases: { name: string; x: number[]; options: nn.PoolOptions }[] = [
  { name: '2 x 2', x: [2, 6, 6, 3], options: { kernel: [2, 2], strides: [2, 2] } },
  { name: '2 x 2 of many channels', x: [2, 4, 6, 21], options: { kernel: [2, 2], strides: [2, 2] } },
  {
    name: 'positions in no window',
    x: [2, 8, 7, 19],
    options: { kernel: [2, 1], strides: [3, 2], pads: [1, 0, 0, 0] },
  },
  {
    name: 'overlapping, asymmetric pads',
    x: [2, 7, 8, 3],
    options: { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 0, 1] },
  },
  { name: 'dilated', x: [1, 9, 8, 2], options: { kernel: [2, 3], dilations: [3, 2], pads: [1, 1, 1, 1] } },
  { name: '1-D', x: [2, 9, 3], options: { kernel: [3], strides: [2], pads: [1, 1] } },
  { name: '3-D', x: [1, 5, 6, 4, 2], options: { kernel: [2, 3, 2], strides: [1, 2, 2], pads: [1, 0, 0, 0, 1, 0] } },
];

/** Heads, sizes that leave rests of vectors, and blocks of rows that are not alike; `orders`: how q, k, v and y lie. */
export const attentionCases: {
  name: string;
  batch: number;
  heads: number;
  rows: number;
  columns: number;
  size: number;
  valueSize: number;
  orders: string;
  mask?: readonly [number, number, number];
}[] = [
  { name: 'one of everything', batch: 1, heads: 1, rows: 1, columns: 1, size: 1, valueSize: 1, orders: 'hhhh' },
  { name: 'tokens first', batch: 2, heads: 3, rows: 5, columns: 7, size: 4, valueSize: 6, orders: 'tttt' },
  {
    name: 'mixed orders, odd sizes',
    batch: 1,
    heads: 2,
    rows: 33,
    columns: 65,
    size: 17,
    valueSize: 9,
    orders: 'thth',
    mask: [1, 1, 33],
  },
  {
    name: 'whole vectors',
    batch: 2,
    heads: 2,
    rows: 32,
    columns: 32,
    size: 16,
    valueSize: 32,
    orders: 'tttt',
    mask: [2, 2, 32],
  },
  {
    name: 'a mask of columns',
    batch: 3,
    heads: 2,
    rows: 4,
    columns: 50,
    size: 8,
    valueSize: 8,
    orders: 'httt',
    mask: [3, 1, 1],
  },
  {
    name: 'several blocks of rows',
    batch: 1,
    heads: 1,
    rows: 101,
    columns: 350,
    size: 5,
    valueSize: 3,
    orders: 'tttt',
    mask: [1, 1, 101],
  },
];
export const HEAD_ORDERS = { h: nn.HEADS_FIRST, t: nn.TOKENS_FIRST };
