/**
 * Where in an uploaded file each element of the graph's weights came from.
 *
 * A reader moves weights about (transposes kernels, reorders gates, joins directions) and never computes with them. So
 * it is run once more on the same file with every element replaced by its own address, a float32 whose bits are a
 * running number: what then stands in the graph says which element of which array lies there. One mechanism inverts
 * every layer's layout, those of layers still to come included.
 */
import type { LayerConfig } from '../config.ts';
import type { Config, WeightArray } from '../layer.ts';
import type { WeightSource } from '../weights.ts';

export interface StoredArray {
  readonly place: string;
  readonly dims: readonly number[];
  /** As the file has them. */
  readonly values: Float32Array;
  /** Address of the first element. */
  readonly first: number;
}

/** Finite positive float32 values in the order of their bits; more elements than any file holds. */
const MAX_ADDRESS = 0x7f7f_ffff;

export class AddressBook {
  readonly #arrays = new Map<string, StoredArray>();
  readonly #ordered: StoredArray[] = [];
  /** Places of the arrays of each layer, by its serialized form. */
  readonly layers = new Map<Config, { readonly layer: LayerConfig; readonly places: readonly string[] }>();
  #next = 1; // readers fill with zeros

  /** The same arrays with addresses for values. */
  through = (source: WeightSource): WeightSource => ({
    arrays: (layer) => {
      const arrays = source.arrays(layer).map((array) => this.#addressed(array));
      this.layers.set(layer.raw, { layer, places: arrays.map(({ place }) => place!) });
      return arrays;
    },
    nested: (layer) => this.through(source.nested(layer)),
    wrapped: (wrapper, attribute, inner) => this.through(source.wrapped(wrapper, attribute, inner)),
  });

  array(place: string): StoredArray {
    return this.#arrays.get(place)!;
  }

  /** The array that contains the address; undefined where none does. */
  find(address: number): StoredArray | undefined {
    const arrays = this.#ordered;
    let [low, high] = [0, arrays.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (arrays[middle]!.first <= address) low = middle + 1;
      else high = middle;
    }
    const found = arrays[low - 1];
    return found && address < found.first + found.values.length ? found : undefined;
  }

  #addressed({ place, dims, values }: WeightArray): WeightArray {
    if (place === undefined) throw new Error('an array lacks its place in the file');
    let stored = this.#arrays.get(place);
    if (!stored) {
      stored = { place, dims, values, first: this.#next };
      this.#next += values.length;
      if (this.#next > MAX_ADDRESS) throw new Error('the file has more elements than there are addresses');
      this.#arrays.set(place, stored);
      this.#ordered.push(stored);
    }
    const { first } = stored;
    return { place, dims, values: new Float32Array(Uint32Array.from(values, (_, i) => first + i).buffer) };
  }
}
