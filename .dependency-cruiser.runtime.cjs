/**
 * What a process loads as it starts (imports of types are erased first, those on demand left out): the API and the
 * supervisor never load the engine.
 */
const base = require('./.dependency-cruiser.cjs');
const TESTS = '\\.test\\.ts$';
const ENGINE = [
  '^src/compression/(tensor|training|operators|network|measure)/',
  'node_modules/(onnxruntime-node|sharp|@tensorflow)/',
].join('|');

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'specs-are-engine-free',
      severity: 'error',
      comment: 'the API reads specs: typebox and contracts only',
      from: { path: '^src/compression/(techniques/([^/]+/spec|registry)|recipe/validate|data/match)\\.ts$' },
      to: { reachable: true, path: ENGINE },
    },
    {
      name: 'api-never-computes',
      severity: 'error',
      from: { path: '^src/api/', pathNot: TESTS },
      to: { reachable: true, path: ENGINE },
    },
    {
      name: 'supervisor-never-computes',
      severity: 'error',
      from: { path: '^workers/(supervisor|launcher)', pathNot: TESTS },
      to: { reachable: true, path: ENGINE },
    },
  ],
  options: { ...base.options, tsPreCompilationDeps: false, exclude: { dynamic: true } },
};
