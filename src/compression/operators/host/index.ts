/** Exact kernels on host tensors of every element type. */
export * from './cast.ts';
export * from './data.ts';
export * from './elementwise.ts';
export * from './movement.ts';
export * from './offsets.ts';
export * from './reduce.ts';
