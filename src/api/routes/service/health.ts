import { Type } from 'typebox';
import { Health, Readiness } from '../../../contracts/api.ts';
import { json, openResponses } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

const CHECK_TIMEOUT_MS = 3000;
const OPEN = { tags: ['service'], security: [] };

export function addHealth(app: App, deps: ApiDeps): void {
  addLiveness(app);
  addReadiness(app, deps);
  addMetrics(app, deps);
  addDocumentRoute(app);
}

function addLiveness(app: App): void {
  app.get(
    '/healthz',
    {
      logLevel: 'warn',
      schema: {
        ...OPEN,
        operationId: 'getHealth',
        summary: 'The process answers',
        response: openResponses({ 200: json('It does', Health) }),
      },
    },
    async () => ({ status: 'ok' as const }),
  );
}

function addReadiness(app: App, { store, queue, blobs }: ApiDeps): void {
  app.get(
    '/readyz',
    {
      logLevel: 'warn',
      schema: {
        ...OPEN,
        operationId: 'getReadiness',
        summary: 'Database, queue and artifact store can be used',
        response: openResponses({ 200: json('All can', Readiness), 503: json('Some cannot', Readiness) }),
      },
    },
    async (_request, reply) => {
      const checks = await allOf({
        database: () => store.ping(),
        queue: () => queue.ping(),
        artifacts: () => blobs.check(),
      });
      const ready = Object.values(checks).every((result) => result === 'ok');
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'unavailable', checks });
    },
  );
}

function addMetrics(app: App, { metrics }: ApiDeps): void {
  app.get(
    '/metrics',
    {
      logLevel: 'warn',
      schema: {
        ...OPEN,
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        response: openResponses({
          200: { description: "Text in Prometheus' format", content: { 'text/plain': Type.String() } },
        }),
      },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()),
  );
}

function addDocumentRoute(app: App): void {
  app.get(
    '/openapi.json',
    {
      schema: {
        ...OPEN,
        operationId: 'getDocument',
        summary: 'This document',
        response: openResponses({ 200: json('OpenAPI 3.1', Type.Object({}, { additionalProperties: true })) }),
      },
    },
    async (_request, reply) => reply.type('application/json').send(app.swagger()),
  );
}

/** Runs the checks; one that hangs counts as failed. Error messages stay in the logs, since they may name hosts. */
async function allOf(checks: Record<string, () => Promise<void>>): Promise<Record<string, string>> {
  const results = Object.entries(checks).map(async ([name, check]) => [name, await withTimeout(check())] as const);
  return Object.fromEntries(await Promise.all(results));
}

function withTimeout(check: Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(`no answer within ${CHECK_TIMEOUT_MS} ms`), CHECK_TIMEOUT_MS);
    check
      .then(
        () => resolve('ok'),
        () => resolve('cannot be reached'),
      )
      .finally(() => clearTimeout(timer));
  });
}
