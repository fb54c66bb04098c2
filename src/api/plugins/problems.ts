/** Every error is answered as problem+json: Lathe's own, Fastify's, unknown paths and methods. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { LatheError } from '../../errors.ts';
import { PROBLEM_TYPE, toProblem } from '../problem.ts';
import type { App } from '../types.ts';

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = toProblem(error, request.id);
  if (problem.status >= 500) request.log.error({ err: error, code: problem.code }, 'request failed');
  if (problem.status === 401) void reply.header('www-authenticate', 'Bearer realm="lathe"');
  if (problem.status === 503 && !reply.hasHeader('retry-after')) void reply.header('retry-after', '5');
  return reply.code(problem.status).type(PROBLEM_TYPE).send(problem);
}

export function addProblems(app: App): void {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set() };
    for (const name of [method].flat()) route.methods.add(name);
    routes.set(url, route);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => sendProblem(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] as string;
    const methods = [...routes.values()]
      .filter(({ pattern }) => pattern.test(path))
      .flatMap((route) => [...route.methods]);
    if (methods.length === 0)
      return sendProblem(new LatheError('not-found', `There is nothing at ${request.method} ${path}`), request, reply);
    void reply.header('allow', [...new Set(methods)].join(', '));
    return sendProblem(
      new LatheError('method-not-allowed', `${path} supports ${methods.join(', ')}, not ${request.method}`),
      request,
      reply,
    );
  });
}

function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((part) => (part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')))
    .join('/');
  return new RegExp(`^${source}$`);
}
