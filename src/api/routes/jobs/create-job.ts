import { Type } from 'typebox';
import { DryRun, Job } from '../../../contracts/api.ts';
import { JobRequest } from '../../../contracts/job-request.ts';
import { dryRun, submitJob } from '../../../jobs/submit.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';
import { jobView } from '../../views.ts';

const HEADERS = Type.Object(
  {
    'idempotency-key': Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: 'the same key and body again, within a day, give the first answer and no second job',
      }),
    ),
  },
  { additionalProperties: true },
);

const SCHEMA = {
  operationId: 'createJob',
  tags: ['jobs'],
  summary: 'Submit a job',
  description:
    'All steps are checked against the model and the data before anything is stored; ' +
    '`errors` lists every problem.',
  querystring: Type.Object(
    { dryRun: Type.Optional(Type.Boolean({ default: false, description: 'checks and estimates only' })) },
    { additionalProperties: false },
  ),
  headers: HEADERS,
  body: { ...JobRequest, title: 'JobRequest' },
  response: responses(
    {
      200: json('`dryRun`: the request is valid; nothing was stored', DryRun),
      202: {
        ...json('The job is queued', Job),
        headers: {
          location: { description: 'its path' },
          'idempotency-replayed': { description: '"true" where this is the answer to an earlier request' },
        },
      },
    },
    'invalid-request',
    'not-found',
    'conflict',
    'too-large',
    'unsupported-media-type',
    'idempotency-mismatch',
    'dataset-required',
    'model-not-trainable',
    'unsupported-operator',
    'shape-mismatch',
    'quota-exceeded',
  ),
};

export function createJob(app: App, { store, tenantLimits }: ApiDeps): void {
  const deps = { ...store, tenantLimits, answerOf: jobView };
  app.post('/jobs', { schema: SCHEMA }, async (request, reply) => {
    const { tenantId } = request.principal;
    if (request.query.dryRun) {
      const plan = await dryRun(deps, tenantId, request.body);
      return reply.code(200).send({ valid: true as const, ...plan });
    }
    const { jobId, answer, repeated } = await submitJob(
      deps,
      tenantId,
      request.body,
      request.headers['idempotency-key'] ?? null,
    );
    request.log.info({ job: jobId, state: 'queued', repeated }, 'job submitted');
    if (repeated) void reply.header('idempotency-replayed', 'true');
    return reply.code(202).header('location', `/v1/jobs/${jobId}`).send(answer);
  });
}
