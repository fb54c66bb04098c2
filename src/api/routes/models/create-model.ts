import { Type } from 'typebox';
import { Model } from '../../../contracts/api.ts';
import { uploadModel, type UploadDeps } from '../../../jobs/upload.ts';
import { responses, json } from '../../openapi/responses.ts';
import type { App } from '../../types.ts';
import { receiveUpload, UPLOAD_BODY, UPLOAD_NAME, validateAllButBody } from '../../upload-body.ts';
import { modelView } from '../../views.ts';

const SCHEMA = {
  operationId: 'createModel',
  tags: ['models'],
  summary: 'Upload a model',
  description: 'ONNX, Keras (.h5, .keras) or a zip of a TF.js model. The same bytes again give the same model.',
  querystring: Type.Object({ name: UPLOAD_NAME }, { additionalProperties: false }),
  ...UPLOAD_BODY,
  response: responses(
    {
      201: {
        ...json('The model, parsed and checked', Model),
        headers: { location: { description: 'its path' } },
      },
    },
    'invalid-request',
    'too-large',
    'unsupported-format',
    'malformed-model',
    'unsupported-operator',
    'quota-exceeded',
  ),
};

export function createModel(app: App, deps: UploadDeps): void {
  app.post(
    '/models',
    {
      validatorCompiler: validateAllButBody,
      schema: SCHEMA,
    },
    async (request, reply) => {
      const model = await receiveUpload(request, (file) =>
        uploadModel(deps, {
          tenantId: request.principal.tenantId,
          name: request.query.name ?? file.name ?? 'model',
          content: file.content,
          declaredBytes: file.declaredBytes,
        }),
      );
      return reply.code(201).header('location', `/v1/models/${model.id}`).send(modelView(model));
    },
  );
}
