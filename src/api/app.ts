/** The HTTP application: plugins, then routes. It listens to nothing and starts nothing; server.ts does. */
import { randomUUID } from 'node:crypto';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger } from 'fastify';
import { addDocument } from './openapi/document.ts';
import { addAuthentication } from './plugins/authentication.ts';
import { addNegotiation } from './plugins/negotiation.ts';
import { addObservation } from './plugins/observation.ts';
import { addProblems, sendProblem } from './plugins/problems.ts';
import { addRateLimit } from './plugins/rate-limit.ts';
import { toProblem } from './problem.ts';
import { addRoutes } from './routes/index.ts';
import { addHealth } from './routes/service/health.ts';
import type { ApiDeps, App } from './types.ts';
import { validatorCompiler } from './validation.ts';

const MAX_JSON_BODY_BYTES = 2 ** 20;
/** Time limit for a request's headers. Bodies may take longer, as uploads do. */
const HEADERS_TIMEOUT_MS = 30_000;
const REQUEST_ID = /^[\w.-]{1,128}$/;

export async function buildApp(deps: ApiDeps): Promise<App> {
  const app = Fastify({
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-assertion -- the routes are typed by this logger
    loggerInstance: deps.log as FastifyBaseLogger,
    bodyLimit: MAX_JSON_BODY_BYTES,
    trustProxy: deps.trustProxy,
    forceCloseConnections: 'idle',
    requestTimeout: 0,
    genReqId: ({ headers }) => requestIdOf(headers['x-request-id']),
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
    clientErrorHandler: (error, socket) => refuse(error, socket),
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.headersTimeout = HEADERS_TIMEOUT_MS;
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(validatorCompiler as never);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  addProblems(app);
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  addObservation(app, deps);
  await addDocument(app);
  addHealth(app, deps);
  await app.register(
    async (scope) => {
      const v1 = scope as App;
      await addRateLimit(v1, deps);
      addAuthentication(v1, deps);
      addNegotiation(v1);
      await addRoutes(v1, deps);
    },
    { prefix: '/v1' },
  );
  await app.ready();
  return app;
}

function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Answers what is not valid HTTP, which reaches no route. */
function refuse(
  error: Error & { code?: string },
  socket: { writable: boolean; end(text: string): unknown; destroy(): unknown },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const statusCode = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify({
    ...toProblem({ statusCode: 400, message: 'The request is not valid HTTP' }),
    status: statusCode,
  });
  const head = [
    `HTTP/1.1 ${statusCode} Bad Request`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
