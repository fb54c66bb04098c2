/** Whether a step is being recorded for compilation: then reading a tensor's values back would freeze them into the compiled step. */
let depth = 0;

export function isRecording(): boolean {
  return depth > 0;
}

/** Runs `record` with `isRecording()` true. */
export function whileRecording<T>(record: () => T): T {
  depth++;
  try {
    return record();
  } finally {
    depth--;
  }
}
