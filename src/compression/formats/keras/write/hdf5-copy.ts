/** A copy of an HDF5 file with some of its arrays replaced: groups, attributes and other arrays as they are. */
import * as h5wasm from 'h5wasm';
import { LatheError } from '../../../../errors.ts';
import type { NewArray } from './new-array.ts';

export interface CopyOptions {
  /** New arrays by path. */
  readonly arrays: ReadonlyMap<string, NewArray>;
  /** New texts of attributes of the file itself, by name. */
  readonly attributes?: ReadonlyMap<string, string>;
  /**
   * New lists of names in attributes of groups, from the path of the group, the name of the attribute and what it
   * lists.
   */
  readonly lists?: (path: string, name: string, value: readonly string[]) => readonly string[];
  /** Paths of groups and arrays that are left out. */
  readonly without: ReadonlySet<string>;
  /** New names of groups, by their paths. */
  readonly renamed?: ReadonlyMap<string, string>;
  /** Arrays that the file does not have, by path; their groups it has. */
  readonly added?: ReadonlyMap<string, NewArray>;
  /** Deflate arrays of many elements: pruned and rounded weights take less room. Every HDF5 library reads it. */
  readonly deflate: boolean;
}

/** Below this the chunk index costs more than deflating saves. */
const MIN_DEFLATED_BYTES = 1024;
const DEFLATE_LEVEL = 9;

const refuse = (path: string, message: string): LatheError =>
  new LatheError('unsupported-operator', `HDF5 ${path}: ${message}`, [{ path, message }]);

let serial = 0;

/** @throws LatheError `unsupported-operator` that names the object which cannot be copied. */
export async function copyHdf5(bytes: Uint8Array, options: CopyOptions): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  const [from, to] = [`copy-${serial}.from.h5`, `copy-${serial++}.to.h5`];
  FS.writeFile(from, bytes);
  const source = new h5wasm.File(from, 'r');
  const target = new h5wasm.File(to, 'w');
  try {
    copyGroup(source, target, options);
    target.flush();
  } finally {
    source.close();
    target.close();
    FS.unlink(from);
  }
  const written = FS.readFile(to);
  FS.unlink(to);
  return written;
}

function copyGroup(from: h5wasm.Group, to: h5wasm.Group, options: CopyOptions): void {
  copyAttributes(from, to, from.path === '/' ? options.attributes : undefined, options.lists);
  for (const name of from.keys()) {
    const entity = from.get(name);
    const path = `${from.path}/${name}`.replaceAll('//', '/');
    if (options.without.has(path)) continue;
    if (entity instanceof h5wasm.Group) copyGroup(entity, to.create_group(options.renamed?.get(path) ?? name), options);
    else if (entity instanceof h5wasm.Dataset) copyDataset(entity, to, { name, path, options });
    else throw refuse(path, 'is a link; files with links cannot be written back');
  }
  for (const [path, array] of options.added ?? []) {
    const cut = path.lastIndexOf('/');
    if (path.slice(0, cut) === from.path) writeArray(to, path.slice(cut + 1), array, options.deflate);
  }
}

function copyAttributes(
  from: h5wasm.Group | h5wasm.Dataset,
  to: h5wasm.Group | h5wasm.Dataset,
  texts?: ReadonlyMap<string, string>,
  lists?: CopyOptions['lists'],
): void {
  for (const [name, { value, shape, dtype }] of Object.entries(from.attrs)) {
    const text = texts?.get(name);
    if (text !== undefined) to.create_attribute(name, text, shape, 'S');
    else if (typeof value === 'string') to.create_attribute(name, value, shape, 'S');
    else if (isTexts(value))
      writeTexts(to, { name, before: value, shape, texts: lists?.(from.path, name, value) ?? value });
    else if (ArrayBuffer.isView(value) || typeof value === 'number') to.create_attribute(name, value, shape, dtype);
    else if (shape?.includes(0)) to.create_attribute(name, new Float64Array(0), shape, '<d');
    else throw refuse(`${from.path}@${name}`, 'is an attribute of a type that cannot be written back');
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

interface Texts {
  readonly name: string;
  readonly before: readonly string[];
  readonly shape: number[] | null;
  readonly texts: readonly string[];
}

function writeTexts(to: h5wasm.Group | h5wasm.Dataset, { name, before, shape, texts }: Texts): void {
  to.create_attribute(name, [...texts], texts.length === before.length ? shape : [texts.length], 'S');
}

interface CopiedDataset {
  readonly name: string;
  readonly path: string;
  readonly options: CopyOptions;
}

function copyDataset(
  from: h5wasm.Dataset,
  to: h5wasm.Group,
  { name, path, options: { arrays, deflate } }: CopiedDataset,
): void {
  const array = arrays.get(path);
  if (array) {
    writeArray(to, name, array, deflate);
    return;
  }
  const { value, shape, dtype } = from;
  if (!ArrayBuffer.isView(value) && typeof value !== 'number' && typeof value !== 'bigint')
    throw refuse(path, 'is an array of a type that cannot be written back');
  copyAttributes(from, to.create_dataset({ name, data: value as Float32Array, shape, dtype }));
}

function writeArray(to: h5wasm.Group, name: string, { dims, values }: NewArray, deflate: boolean): void {
  const shape = [...dims];
  to.create_dataset({
    name,
    data: values,
    shape,
    dtype: '<f',
    ...(deflate &&
      values.length >= MIN_DEFLATED_BYTES && { chunks: shape, compression: 'gzip', compression_opts: DEFLATE_LEVEL }),
  });
}
