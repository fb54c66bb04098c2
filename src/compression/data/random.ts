/**
 * Seeded pseudo-random numbers: sfc32 (Chris Doty-Humphrey, PractRand), seeded by splitmix32. Same seed and stream,
 * same numbers.
 */

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/**
 * Uniform numbers in [0, 1) with 32 random bits. `streams` (epoch, input number...) give independent sequences of one
 * seed.
 */
export function seededRandom(seed: number, ...streams: number[]): () => number {
  let mixed = seed >>> 0;
  for (const stream of streams) mixed = splitmix32(mixed ^ Math.imul(stream + 1, 0x85ebca6b))();
  const next = splitmix32(mixed);
  let [a, b, c, counter] = [next(), next(), next(), 1];
  const draw = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
  for (let i = 0; i < 12; i++) draw();
  return draw;
}

/** Standard normal numbers (Box and Muller 1958). */
export function seededNormal(seed: number, ...streams: number[]): () => number {
  const uniform = seededRandom(seed, ...streams);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** 0..n-1 in random order (Fisher and Yates). */
export function permutation(n: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
