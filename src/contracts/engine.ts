/** Which engine computes: values of LATHE_ENGINE. `auto` takes TensorFlow where it is built, else WebAssembly. */
export const ENGINE_CHOICES = ['auto', 'tensorflow', 'wasm'] as const;
export type EngineChoice = (typeof ENGINE_CHOICES)[number];
