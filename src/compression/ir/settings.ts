/**
 * Constants that are settings of a model, not weights: values that an importer writes out because ONNX has no default
 * for them (the scale of a BatchNormalization without one), input statistics, factors from a layer's configuration.
 * Training does not change them, since the model's own format has no place for other values. The model's metadata
 * holds their names.
 */
import type { Model } from './types.ts';

const KEY = 'lathe.settings';

/** Names of initializers that are settings; malformed metadata is ignored, since any file may hold it. */
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

/** Metadata with these names; empty where there are none. */
export function settingsMetadata(names: Iterable<string>): Map<string, string> {
  const list = [...names];
  return new Map(list.length === 0 ? [] : [[KEY, JSON.stringify(list)]]);
}
