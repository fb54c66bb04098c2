import { Type } from 'typebox';
import { Dataset } from '../../../contracts/api.ts';
import { uploadDataset, type UploadDeps } from '../../../jobs/upload.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { App } from '../../types.ts';
import { receiveUpload, UPLOAD_BODY, UPLOAD_NAME, validateAllButBody } from '../../upload-body.ts';
import { datasetView } from '../../views.ts';

const SCHEMA = {
  operationId: 'createDataset',
  tags: ['datasets'],
  summary: 'Upload a dataset',
  description:
    'npz, a zip of idx files, a zip of image folders, or csv. ' +
    'The same bytes, read in the same way, give the same dataset.',
  querystring: Type.Object(
    {
      name: UPLOAD_NAME,
      target: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'csv: the column to predict' })),
      targetKind: Type.Optional(
        Type.Enum(['classes', 'values'], {
          description: 'csv: what that column holds, where its values leave it open',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  ...UPLOAD_BODY,
  response: responses(
    { 201: { ...json('The dataset, read whole', Dataset), headers: { location: { description: 'its path' } } } },
    'invalid-request',
    'too-large',
    'unsupported-format',
    'malformed-dataset',
    'quota-exceeded',
  ),
};

export function createDataset(app: App, deps: UploadDeps): void {
  app.post(
    '/datasets',
    {
      validatorCompiler: validateAllButBody,
      schema: SCHEMA,
    },
    async (request, reply) => {
      const { name, ...options } = request.query;
      const dataset = await receiveUpload(request, (file) =>
        uploadDataset(
          deps,
          {
            tenantId: request.principal.tenantId,
            name: name ?? file.name ?? 'dataset',
            content: file.content,
            declaredBytes: file.declaredBytes,
          },
          options as Record<string, string>,
        ),
      );
      return reply.code(201).header('location', `/v1/datasets/${dataset.id}`).send(datasetView(dataset));
    },
  );
}
