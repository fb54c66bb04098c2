/** The OpenAPI document, from the route schemas; and the pages that show it. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { App } from '../types.ts';

const DESCRIPTION = [
  'Compresses trained models: upload a model (and data), submit a job, follow it, download the smaller model with ' +
    'the evidence for it.',
  'Lists come newest first, in pages: pass `nextCursor` as `?cursor=`. Errors are problem+json (RFC 9457) with a ' +
    '`code`; `errors` says where in the request or the file.',
].join('\n\n');

/** Must be registered before the routes. */
export async function addDocument(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Lathe',
        version: '1',
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'this service' }],
      tags: ['models', 'datasets', 'jobs', 'artifacts', 'techniques', 'workers', 'keys', 'service'].map((name) => ({
        name,
      })),
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'an API key' } } },
      security: [{ key: [] }],
    },
    transformObject: (document) =>
      ('openapiObject' in document ? withComponents(document.openapiObject as Json) : {}) as never,
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    logLevel: 'warn',
    staticCSP: true,
    // The service is often reached by plain HTTP; nothing is to be fetched from elsewhere.
    transformStaticCSP: (policy) => policy.replace(/upgrade-insecure-requests;?|\s*validator\.swagger\.io/g, ''),
    uiConfig: { deepLinking: true, validatorUrl: null },
  });
}

type Json = Record<string, unknown>;

/** Schemas with a title become components, each once: generated clients then have types with names. */
export function withComponents(document: Json): Json {
  const schemas: Json = {};
  const paths = hoist(document.paths, schemas);
  const components = document.components as Json;
  return {
    ...document,
    paths,
    components: {
      ...components,
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  };
}

function hoist(value: unknown, schemas: Json): unknown {
  if (Array.isArray(value)) return value.map((item) => hoist(item, schemas));
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hoist(member, schemas)]));
  const { title } = members;
  if (typeof title !== 'string' || !isSchema(members)) return members;
  const { title: _, ...schema } = members;
  schemas[title] = schema;
  return { $ref: `#/components/schemas/${title}` };
}

function isSchema(value: Json): boolean {
  return 'type' in value || 'enum' in value || 'anyOf' in value;
}
