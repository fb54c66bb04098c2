/** The LSTM's kernels for the architecture's base instruction set. */
process.env['LATHE_KERNELS'] = process.arch === 'arm64' ? 'neon' : 'plain';
await import('./lstm-gradient.test.ts');
