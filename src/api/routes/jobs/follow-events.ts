import { Type } from 'typebox';
import { EventStream } from '../../event-stream.ts';
import { LatheError } from '../../../errors.ts';
import { isEnded } from '../../../contracts/job-states.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { responses } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

const EVENT_STREAM = 'text/event-stream';
const HEADERS = Type.Object(
  {
    'last-event-id': Type.Optional(Type.String({ maxLength: 20, description: 'go on after this event' })),
  },
  { additionalProperties: true },
);

const SCHEMA = {
  operationId: 'followEvents',
  tags: ['jobs'],
  summary: 'Follow a job',
  params: ID_PARAMS,
  headers: HEADERS,
  description:
    "Server-sent events: those there are, then each as it happens; the stream ends after the job's last one. " +
    'The event types: queued, waiting, started, progress, metric, warning, step, retrying, canceling, ' +
    'succeeded, failed, canceled, expired.',
  response: responses(
    {
      200: { description: 'The events', content: { [EVENT_STREAM]: Type.String() } },
      204: { description: 'The job has ended and there are no events after Last-Event-ID' },
    },
    'invalid-request',
    'not-found',
  ),
};

export function followEvents(app: App, { store, feed }: ApiDeps): void {
  const streams = new Set<EventStream>();
  app.addHook('preClose', async () => {
    for (const stream of streams) stream.end();
  });
  app.get(
    '/jobs/:id/events',
    {
      exposeHeadRoute: false,
      config: { produces: [EVENT_STREAM] },
      schema: SCHEMA,
    },
    async (request, reply) => {
      const after = lastEventId(request.headers['last-event-id']);
      const job = await requireFound('job', request.params.id, (id) => store.jobs.find(request.principal.tenantId, id));
      if (isEnded(job.state) && (await store.jobs.events(job.id, after, 1)).length === 0) return reply.code(204).send();
      reply.hijack();
      const stream = new EventStream(reply.raw, {
        jobId: job.id,
        after,
        events: (from, limit) => store.jobs.events(job.id, from, limit),
        feed,
      });
      streams.add(stream);
      await stream
        .run({ 'x-request-id': request.id })
        .catch((error: unknown) => request.log.warn({ err: error }, 'event stream failed'));
      streams.delete(stream);
      return reply;
    },
  );
}

function lastEventId(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new LatheError('invalid-request', 'Last-Event-ID does not belong to this stream', [
    { path: 'Last-Event-ID', message: 'pass the id of the last event unchanged' },
  ]);
}
