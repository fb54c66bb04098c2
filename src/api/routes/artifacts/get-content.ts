import { Type } from 'typebox';
import { LatheError } from '../../../errors.ts';
import { matchesEtag, parseRange } from '../../content-range.ts';
import { requireFound, ID_PARAMS } from '../../lookup.ts';
import { attachment } from '../../names.ts';
import { COMMON_ERRORS, openResponses } from '../../openapi/responses.ts';
import type { ApiDeps, App } from '../../types.ts';

const BYTES = Type.String({ format: 'binary' });
const HEADERS = Type.Object(
  {
    range: Type.Optional(Type.String({ description: '`bytes=first-last`, `bytes=first-`, `bytes=-count`' })),
    'if-none-match': Type.Optional(Type.String()),
    'if-range': Type.Optional(Type.String()),
  },
  { additionalProperties: true },
);
const ANSWER_HEADERS = {
  etag: { description: 'of the content: changes never' },
  digest: { description: 'sha-256 of the whole file, base64' },
  'content-disposition': { description: "with the file's name" },
};

const SCHEMA = {
  operationId: 'getArtifactContent',
  tags: ['artifacts'],
  summary: 'Download an artifact',
  params: ID_PARAMS,
  headers: HEADERS,
  response: openResponses(
    {
      200: { description: 'The file', content: { 'application/octet-stream': BYTES }, headers: ANSWER_HEADERS },
      206: {
        description: 'The range',
        content: { 'application/octet-stream': BYTES },
        headers: { ...ANSWER_HEADERS, 'content-range': { description: 'which bytes of how many' } },
      },
      304: { description: 'If-None-Match names the content: the client has it' },
    },
    ...COMMON_ERRORS,
    'not-found',
    'range-not-satisfiable',
  ),
};

export function getContent(app: App, { store, blobs }: ApiDeps): void {
  app.get(
    '/artifacts/:id/content',
    {
      config: { produces: ['*/*'] },
      schema: SCHEMA,
    },
    async ({ params, principal, headers }, reply) => {
      const { name, format, sha256, sizeBytes } = await requireFound('artifact', params.id, (id) =>
        store.artifacts.find(principal.tenantId, id),
      );
      const etag = `"${sha256}"`;
      void reply.headers({ etag, ...contentHeaders(name, sha256) });
      if (matchesEtag(headers['if-none-match'], etag)) return reply.code(304).send();
      const isCurrent = headers['if-range'] === undefined || headers['if-range'] === etag;
      const range = isCurrent ? parseRange(headers.range, sizeBytes) : null;
      if (range === 'unsatisfiable') {
        void reply.header('content-range', `bytes */${sizeBytes}`);
        throw new LatheError(
          'range-not-satisfiable',
          `The artifact has ${sizeBytes} bytes; the range asked for was "${headers.range}"`,
        );
      }
      void reply
        .code(range ? 206 : 200)
        .type(format === 'json' || format === 'manifest' ? 'application/json' : 'application/octet-stream');
      void reply.header('content-length', range ? range.end - range.start + 1 : sizeBytes);
      if (range) void reply.header('content-range', `bytes ${range.start}-${range.end}/${sizeBytes}`);
      return reply.send(await blobs.read(sha256, range ?? undefined));
    },
  );
}

function contentHeaders(name: string, sha256: string) {
  const digest = Buffer.from(sha256, 'hex').toString('base64');
  return {
    digest: `sha-256=${digest}`,
    'repr-digest': `sha-256=:${digest}:`,
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=31536000, immutable',
    'content-disposition': attachment(name),
    'x-content-type-options': 'nosniff',
  };
}
