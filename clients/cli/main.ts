/** The command line: `lathe doctor | models | datasets | jobs | artifacts`. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Command } from 'commander';
import { connectionFrom } from './connection.ts';
import { doctor } from './doctor.ts';
import { LatheClient, ProblemError, unwrap, type Schemas } from '../typescript/src/index.ts';
import { bytes, reportTable, table } from './table.ts';
import { watch } from './watch.ts';

type Resource = 'models' | 'datasets' | 'jobs';

const client = (): LatheClient => new LatheClient(connectionFrom(process.env));
const print = (value: unknown): void => console.log(typeof value === 'string' ? value : JSON.stringify(value, null, 2));

const program = new Command('lathe').description('Compress trained models: prune, distil, quantize, retrain.');

program
  .command('doctor')
  .description('say which engine, database and queue are in use, and what is missing')
  .option('--worker', 'check only what a worker needs')
  .option('--json', 'machine-readable')
  .action(async (options: { worker?: boolean; json?: boolean }) => {
    process.exitCode = await doctor(options);
  });

pushCommand('models', 'upload a model (ONNX, Keras, TF.js)');
pushCommand('datasets', 'upload a dataset (npz, idx zip, image folder zip, csv)').option(
  '--target <column>',
  'csv: the column to predict',
);

function pushCommand(resource: 'models' | 'datasets', description: string): Command {
  const group = program.command(resource);
  listCommand(group, resource, (row: Schemas['Model' | 'Dataset']) => [row.id, row.name, row.createdAt]);
  return group
    .command('push')
    .description(description)
    .argument('<file>')
    .option('--name <name>', "defaults to the file's name")
    .action(async (file: string, options: { name?: string; target?: string }) => {
      const upload = { ...options, onProgress: uploadProgress(file) };
      print(await (resource === 'models' ? client().uploadModel(file, upload) : client().uploadDataset(file, upload)));
    });
}

/** Progress of an upload on stderr, so that stdout holds JSON alone. */
function uploadProgress(file: string): (sent: number, total: number) => void {
  if (!process.stderr.isTTY) return () => {};
  return (sent, total) =>
    process.stderr.write(`\r${basename(file)}: ${bytes(sent)} of ${bytes(total)}${sent === total ? '\n' : ''}`);
}

function listCommand<T>(group: Command, resource: Resource, row: (item: T) => string[]): void {
  group
    .command('list')
    .description(`list ${resource}, newest first`)
    .option('--limit <n>', 'how many', '20')
    .option('--state <state>', 'jobs only')
    .option('--label <key:value>', 'jobs only')
    .option('--json', 'machine-readable')
    .action(async (options: { limit: string; state?: string; label?: string; json?: boolean }) => {
      const state = options.state?.split(',') as Schemas['JobState'][] | undefined;
      const label = options.label === undefined ? undefined : [options.label];
      const page = await list(resource, { limit: Number(options.limit), state, label });
      print(options.json ? page : table((page.items as T[]).map(row)));
    });
}

function list(resource: Resource, query: { limit: number; state?: Schemas['JobState'][]; label?: string[] }) {
  const { api } = client();
  const init = { params: { query } };
  switch (resource) {
    case 'models':
      return unwrap(api.GET('/v1/models', init));
    case 'datasets':
      return unwrap(api.GET('/v1/datasets', init));
    case 'jobs':
      return unwrap(api.GET('/v1/jobs', init));
  }
}

const jobs = program.command('jobs');
listCommand(jobs, 'jobs', (job: Schemas['Job']) => [
  job.id,
  job.state,
  `${Math.round(job.progress * 100)} %`,
  job.steps.map((step) => step.technique).join('+'),
  job.createdAt,
]);

jobs
  .command('submit')
  .description('submit a job from a JSON file ("-": standard input)')
  .argument('<request>')
  .option('--model <id>', "overrides the request's model")
  .option('--dataset <id>', "overrides the request's dataset")
  .option('--dry-run', 'validate and estimate only')
  .option('--idempotency-key <key>', "a second submission under the same key gives the first one's job")
  .option('--watch', 'follow it to its end')
  .action(
    async (
      file: string,
      options: { model?: string; dataset?: string; dryRun?: boolean; idempotencyKey?: string; watch?: boolean },
    ) => {
      const request = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8')) as Schemas['JobRequest'];
      if (options.model) request.model = options.model;
      if (options.dataset) request.dataset = options.dataset;
      if (options.dryRun) {
        print(await estimate(request));
        return;
      }
      const job = await client().submitJob(request, options);
      print(job);
      if (options.watch) await follow(job.id);
    },
  );

const estimate = (request: Schemas['JobRequest']) =>
  unwrap(client().api.POST('/v1/jobs', { body: request, params: { query: { dryRun: true } } }));

jobs.command('watch').description('follow a job to its end').argument('<job>').action(follow);

jobs
  .command('cancel')
  .description('cancel a job')
  .argument('<job>')
  .action(async (id: string) => print(await unwrap(client().api.POST('/v1/jobs/{id}/cancel', byId(id)))));

const byId = (id: string) => ({ params: { path: { id } } });

async function follow(id: string): Promise<void> {
  const end = await watch(client(), id);
  if (end !== 'succeeded') {
    process.exitCode = 1;
    return;
  }
  print(reportTable(await unwrap(client().api.GET('/v1/jobs/{id}/report', byId(id)))));
}

const artifacts = program.command('artifacts');
artifacts
  .command('pull')
  .description('download an artifact, or the recommended one of a job; the sha-256 is checked')
  .argument('<artifact-or-job>')
  .option('-o, --output <file>')
  .action(async (id: string, options: { output?: string }) => {
    const artifact = await unwrap(client().api.GET('/v1/artifacts/{id}', byId(await artifactIdOf(id))));
    const file = options.output ?? basename(artifact.name);
    await client().download(artifact, file);
    print(`${file}  ${bytes(artifact.sizeBytes)}  sha-256 ${artifact.sha256}`);
  });

async function artifactIdOf(id: string): Promise<string> {
  if (!id.startsWith('job_')) return id;
  const job = await unwrap(client().api.GET('/v1/jobs/{id}', byId(id)));
  if (!job.recommended) throw new Error(`${id} is ${job.state} and has no artifact to recommend`);
  return job.recommended;
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof ProblemError) {
    console.error(`${error.code} (${error.status}): ${error.message}`);
    for (const { path, message } of error.errors) console.error(`  ${path || '/'}: ${message}`);
  } else {
    console.error(error instanceof Error ? error.message : String(error));
  }
  process.exitCode = 1;
}
