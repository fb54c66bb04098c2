/**
 * The TensorFlow wheels that the engine's libraries come from, pinned by the sha256 that the index publishes. `cpu`
 * takes the smaller tensorflow-cpu wheel where there is one; on ARM the plain wheel has no CUDA in it.
 */
export const TENSORFLOW_VERSION = '2.21.0';

/**
 * @typedef {{package: string, platform: string, downloadBytes: number, unpackedBytes: number, sha256: Record<string,
 * string>}} Wheel
 */

const ARM = {
  package: 'tensorflow',
  platform: 'manylinux_2_27_aarch64',
  downloadBytes: 280e6,
  unpackedBytes: 900e6,
  sha256: {
    '3.10': '7c97938b25cf70c80ae8619931f85abcdee2ab2eb256c2051202edb3b89e9a5d',
    3.11: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
    3.12: 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552',
    3.13: 'a10abdfb8b1189210c251021a3f153b7ccc52a8e6521351f3dc3331e8ba593e0',
  },
};

/** @type {Record<string, Wheel>} keyed by `${variant}-${process.arch}` */
export const WHEELS = {
  'cpu-x64': {
    package: 'tensorflow-cpu',
    platform: 'manylinux_2_27_x86_64',
    downloadBytes: 274e6,
    unpackedBytes: 870e6,
    sha256: {
      '3.10': 'd143e92f5c0661cdfa26eaca8f73cd2efd0ec53a68af8dec82f584ba8eb14b83',
      3.11: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
      3.12: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
      3.13: '05af7c26d35f4de910b5598c7b507e3981831a7b0f47fed9a405d995d51d7793',
    },
  },
  'cuda-x64': {
    package: 'tensorflow',
    platform: 'manylinux_2_27_x86_64',
    downloadBytes: 572e6,
    unpackedBytes: 1800e6,
    sha256: {
      '3.10': '77c6f298e695ea1d283cdd7d30f8d97530cc6e92c1395a9ddbab9771c99233a4',
      3.11: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
      3.12: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
      3.13: 'e9d8da8dcab9650efb45f032ba70af2f016f907e6e0c6bda29dd101bba945406',
    },
  },
  'cpu-arm64': ARM,
};
