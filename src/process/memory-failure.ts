/** How a lack of memory shows in messages: of V8, the C++ runtime, the C library, TensorFlow and onnxruntime. */

const SIGNATURES: readonly string[] = [
  'out of memory', // V8's fatal error; CUDA
  'allocation failed', // V8: heap, "Array buffer allocation failed"
  'could not allocate', // WebAssembly.Memory
  'bad_alloc', // C++
  'Cannot allocate memory', // strerror(ENOMEM)
  'ENOMEM', // libuv
  'OOM when allocating', // TensorFlow
  'RESOURCE_EXHAUSTED', // TensorFlow's status
];
/** V8 refuses these lengths before it looks for memory: a size that a file states and cannot mean. */
const LENGTHS: readonly string[] = [
  'Invalid array length',
  'Invalid typed array length',
  'Invalid array buffer length',
];

const MEMORY = new RegExp(SIGNATURES.join('|'), 'i');
const MEMORY_OR_LENGTH = new RegExp([...SIGNATURES, ...LENGTHS].join('|'), 'i');

/** @param text an error's message, or the end of a process's error output */
export function isMemoryFailure(text: string): boolean {
  return MEMORY.test(text);
}

/** Whether a parser failed because its file expands beyond all bounds: memory ran out, or no array can be so long. */
export function isExpansionFailure(text: string): boolean {
  return MEMORY_OR_LENGTH.test(text);
}
