/**
 * HDF5 through h5wasm's in-memory build: the file lives in WebAssembly's own file system, so external links cannot
 * reach this machine's files; they are refused all the same. Every read is checked, since a failed one gives arbitrary
 * bytes.
 */
import * as h5wasm from 'h5wasm';
import { LatheError } from '../../../errors.ts';
import { decodeBfloat16, decodeFloat16 } from '../../ir/number-formats.ts';
import type { WeightArray } from './layer.ts';

/** Elements of one dataset; more than any real layer holds, and far from what the address space does. */
const MAX_ELEMENTS = 1 << 29;

export interface Hdf5Node {
  attribute(name: string): unknown;
  /** Names of members, in the file's order. */
  members(): string[];
  group(path: string): Hdf5Node | null;
  /** A float array; integers and floats of other widths become float32. */
  array(path: string): WeightArray;
}

const damaged = (path: string, message: string): LatheError =>
  new LatheError('malformed-model', `HDF5 ${path}: ${message}`, [{ path, message }]);

/** Emscripten's file system then keeps the array itself, not a copy: the file is only read. */
const SHARED = { flags: 'w+', canOwn: true };

let serial = 0;

/** Opens `bytes`, gives the root to `use`, and closes again. */
export async function withHdf5<T>(bytes: Uint8Array, use: (root: Hdf5Node) => T): Promise<T> {
  const { FS } = await h5wasm.ready;
  const name = `upload-${serial++}.h5`;
  FS.writeFile(name, bytes, SHARED);
  let file: h5wasm.File | undefined;
  try {
    file = new h5wasm.File(name, 'r');
    if (file.file_id < 0n) throw damaged('/', 'the file cannot be opened: it is damaged or no HDF5');
    return use(nodeOf(file));
  } catch (error) {
    if (error instanceof LatheError) throw error;
    throw new LatheError(
      'malformed-model',
      `HDF5: the file is damaged: ${(error as Error).message}`,
      [{ path: '/', message: 'damaged' }],
      { cause: error },
    );
  } finally {
    file?.close();
    FS.unlink(name);
  }
}

function nodeOf(group: h5wasm.Group): Hdf5Node {
  const { path } = group;
  return {
    attribute(name) {
      const attribute = group.attrs[name];
      return attribute === undefined ? undefined : attribute.value;
    },
    members: () => group.keys(),
    group(inner) {
      const entity = resolve(group, inner);
      return entity instanceof h5wasm.Group ? nodeOf(entity) : null;
    },
    array(inner) {
      const place = `${path}/${inner}`.replaceAll('//', '/');
      const entity = resolve(group, inner);
      if (!(entity instanceof h5wasm.Dataset)) throw damaged(place, 'is missing, or no dataset');
      return readArray(entity, place);
    },
  };
}

/** Walks link by link, so that an external or dangling one is seen before it is followed. */
function resolve(group: h5wasm.Group, path: string): h5wasm.Entity | null {
  let entity: h5wasm.Entity | null = group;
  for (const part of path.split('/').filter(Boolean)) {
    if (!(entity instanceof h5wasm.Group)) return null;
    if (!entity.keys().includes(part)) return null;
    entity = entity.get(part);
    if (entity instanceof h5wasm.ExternalLink) throw damaged(path, 'is a link to another file; such links are refused');
    if (entity instanceof h5wasm.BrokenSoftLink) throw damaged(path, 'is a link that leads nowhere');
  }
  return entity;
}

function readArray(dataset: h5wasm.Dataset, place: string): WeightArray {
  const dims = dataset.shape;
  if (dims === null) throw damaged(place, 'has no shape');
  const elements = dims.reduce((total, size) => total * size, 1);
  if (elements > MAX_ELEMENTS) throw damaged(place, `declares ${elements} elements`);
  const { virtual_sources: virtualSources, type } = dataset.metadata as { virtual_sources?: unknown[]; type: number };
  if (virtualSources && virtualSources.length > 0) throw damaged(place, 'is a virtual dataset of other files');
  if (type !== 0 && type !== 1) throw damaged(place, 'holds no numbers');
  const values = readValues(dataset, elements);
  if (!values) throw damaged(place, 'cannot be read');
  if (values.length !== elements)
    throw damaged(place, `holds ${values.length} elements where its shape says ${elements}`);
  return { dims, values, place };
}

/**
 * Float16 has no typed array and comes as raw bytes; Keras 3 stores bfloat16 as uint16 with a note. null: unreadable.
 */
function readValues(dataset: h5wasm.Dataset, elements: number): Float32Array | null {
  const { type, size } = dataset.metadata as { type: number; size: number };
  if (type === 1 && size === 2) return rawHalves(dataset, elements);
  const value: unknown = dataset.value;
  if (elements === 1 && (typeof value === 'number' || typeof value === 'bigint')) return Float32Array.of(Number(value));
  if (!ArrayBuffer.isView(value)) return null;
  if (value instanceof Uint16Array && dataset.attrs['dtype']?.value === 'bfloat16') return decodeBfloat16(value);
  if (value instanceof Float32Array) return value;
  const isBig = value instanceof BigInt64Array || value instanceof BigUint64Array;
  return isBig
    ? Float32Array.from(value as BigInt64Array, Number)
    : new Float32Array(value as unknown as ArrayLike<number>);
}

function rawHalves(dataset: h5wasm.Dataset, elements: number): Float32Array | null {
  const { Module } = h5wasm;
  const at = Module._malloc(Math.max(elements, 1) * 2);
  try {
    const status = Module.get_dataset_data(dataset.file_id, dataset.path, null, null, null, BigInt(at));
    return status < 0 ? null : decodeFloat16(new Uint16Array(Module.HEAPU8.slice(at, at + elements * 2).buffer));
  } finally {
    Module._free(at);
  }
}
