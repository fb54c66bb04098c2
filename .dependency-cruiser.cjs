/**
 * The direction of imports: contracts <- compression <- jobs <- {api, workers}; store, queue and artifacts implement
 * jobs/ports.
 */
const TESTS = '\\.test\\.ts$';

/**
 * The layers of src/compression, lowest first: nothing imports from a layer after its own. Rooms of one layer may
 * import each other.
 */
const LAYERS = [
  ['ir'],
  ['tensor'],
  ['collective'],
  ['operators'],
  ['graph'],
  ['formats', 'data'],
  ['measure'],
  ['weights'],
  ['parallel/async'],
  ['network'],
  ['agreement'],
  ['step'],
  ['training'],
  ['parallel/pipeline'],
  ['techniques'],
  ['recipe'],
];

const layerRules = LAYERS.slice(0, -1).map((rooms, level) => {
  const above = LAYERS.slice(level + 1).flat();
  return {
    name: `layer-${rooms.join('-and-')}`,
    severity: 'error',
    comment: `${rooms.join(' and ')}: below ${above.join(', ')}`,
    from: { path: `^src/compression/(${rooms.join('|')})/`, pathNot: TESTS },
    to: { path: `^src/compression/(${above.join('|')})/` },
  };
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      comment: 'imports of types count: what two files share stands in a third',
      from: { pathNot: '^src/store/generated/' },
      to: { circular: true },
    },
    ...layerRules,
    {
      name: 'network-measures-nothing',
      severity: 'error',
      comment: 'what checks a network against files and data is agreement',
      from: { path: '^src/compression/network/', pathNot: TESTS },
      to: { path: '^src/compression/(formats|data|measure)/' },
    },
    {
      name: 'room-has-a-layer',
      severity: 'error',
      comment: 'a folder of src/compression that is in no layer has no direction: add it to LAYERS',
      from: {},
      to: { path: '^src/compression/', pathNot: `^src/compression/(${LAYERS.flat().join('|')})/` },
    },
    {
      name: 'contracts-know-nothing',
      severity: 'error',
      comment: 'contracts are schemas: typebox and each other',
      from: { path: '^src/contracts/', pathNot: TESTS },
      to: { path: '^(src|workers|clients)/', pathNot: '^src/(contracts|errors\\.ts)' },
    },
    {
      name: 'compression-knows-no-service',
      severity: 'error',
      comment: 'the engine knows no HTTP, SQL, queue or environment',
      from: { path: '^src/compression/', pathNot: TESTS },
      to: { path: '^(src/(api|jobs|store|queue|artifacts|inspection|config/|log\\.ts)|workers|clients)' },
    },
    {
      name: 'compression-uses-no-service-package',
      severity: 'error',
      from: { path: '^src/compression/' },
      to: { path: 'node_modules/(fastify|@fastify|bullmq|ioredis|pg|@prisma|@aws-sdk|pino|prom-client|commander)/' },
    },
    {
      name: 'jobs-declare',
      severity: 'error',
      comment: 'jobs declares ports; it does not reach for who implements them',
      from: { path: '^src/jobs/', pathNot: TESTS },
      to: { path: '^(src/(api|store|queue|artifacts|inspection)|workers|clients)' },
    },
    {
      name: 'process-knows-no-service',
      severity: 'error',
      comment: 'child processes know errors and config at most',
      from: { path: '^src/process/', pathNot: TESTS },
      to: { path: '^(src|workers|clients)/', pathNot: '^src/(process/|errors\\.ts|config)' },
    },
    {
      name: 'implementations-stay-apart',
      severity: 'error',
      comment: 'store, queue and artifacts meet only in api/app.ts and workers/',
      from: { path: '^src/(store|queue|artifacts)/', pathNot: TESTS },
      to: { path: '^src/(store|queue|artifacts|api)/', pathNot: '^src/$1/' },
    },
    {
      name: 'src-never-imports-workers',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { path: '^(workers|clients|bench|test)/' },
    },
    {
      name: 'client-stands-alone',
      severity: 'error',
      comment: 'clients/typescript is a package of its own',
      from: { path: '^clients/typescript/', pathNot: TESTS },
      to: { path: '^(src|workers|clients/(?!typescript/))' },
    },
    {
      name: 'techniques-stand-alone',
      severity: 'error',
      comment: 'a technique is one folder; none imports another',
      from: { path: '^src/compression/techniques/([^/]+)/', pathNot: TESTS },
      to: { path: '^src/compression/techniques/[^/]+/', pathNot: '^src/compression/techniques/$1/' },
    },
    {
      name: 'tfjs-only-in-tensor',
      severity: 'error',
      from: { path: '^(src|workers|clients)/', pathNot: '^src/compression/tensor/|' + TESTS },
      to: { path: 'node_modules/@tensorflow/' },
    },
    {
      name: 'prisma-stays-in-store',
      severity: 'error',
      from: { path: '^(src|workers|clients)/', pathNot: '^src/store/' },
      to: { path: 'node_modules/(\\.prisma|@prisma)/|^src/store/generated/' },
    },
    {
      name: 'no-unlisted-package',
      severity: 'error',
      from: { path: '^(src|workers|clients)/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'not-to-dev-dependency',
      severity: 'error',
      from: { path: '^(src|workers|clients)/', pathNot: TESTS + '|^clients/demo/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only', 'npm'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    // Imports of types count: they bind the layers too. What is loaded at run time: .dependency-cruiser.runtime.cjs
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
    skipAnalysisNotInRules: true,
  },
};
