/**
 * Constants that are settings of a model, not weights: what an importer had to write out because ONNX has no default
 * for it (the scale of a BatchNormalization that has none), statistics of the inputs, factors from a layer's
 * configuration. Training leaves them as they are, so that the model can be written back in its own format, which has
 * no place for other values. Their names travel in the model's metadata.
 */
import type { Model } from './types.ts';

const KEY = 'lathe.settings';

/** Names of initializers that are settings; a list that is no list is ignored, since any file may hold one. */
export function settingsOf(model: Model): ReadonlySet<string> {
  const stored = model.metadata.get(KEY);
  if (stored === undefined) return new Set();
  try {
    const names: unknown = JSON.parse(stored);
    return new Set(Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []);
  } catch {
    return new Set();
  }
}

/** The metadata that says so; empty where there are none. */
export function settingsMetadata(names: Iterable<string>): Map<string, string> {
  const list = [...names];
  return new Map(list.length === 0 ? [] : [[KEY, JSON.stringify(list)]]);
}
