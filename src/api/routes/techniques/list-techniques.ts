import { Type } from 'typebox';
import { specOf, TECHNIQUES } from '../../../compression/techniques/registry.ts';
import type { TechniqueSpec } from '../../../compression/techniques/technique.ts';
import { Technique } from '../../../contracts/api.ts';
import { LatheError } from '../../../errors.ts';
import { responses, json } from '../../openapi/responses.ts';
import { PAGE_QUERY } from '../../paging.ts';
import { stepSchema } from '../../step-schema.ts';
import type { App } from '../../types.ts';

/** A few dozen at most: always one page. */
export function listTechniques(app: App): void {
  app.get(
    '/techniques',
    {
      schema: {
        operationId: 'listTechniques',
        tags: ['techniques'],
        summary: 'The techniques that steps may name',
        querystring: Type.Object(PAGE_QUERY, { additionalProperties: false }),
        response: responses(
          { 200: json('All techniques', Type.Object({ items: Type.Array(Technique), nextCursor: Type.Null() })) },
          'invalid-request',
        ),
      },
    },
    async () => ({ items: [...TECHNIQUES.values()].map(({ spec }) => techniqueView(spec)), nextCursor: null }),
  );

  app.get(
    '/techniques/:name',
    {
      schema: {
        operationId: 'getTechnique',
        tags: ['techniques'],
        summary: 'A technique and its parameters',
        params: Type.Object({ name: Type.String() }),
        response: responses({ 200: json('The technique', Technique) }, 'not-found'),
      },
    },
    async ({ params: { name } }) => {
      const spec = specOf(name);
      if (!spec)
        throw new LatheError(
          'not-found',
          `There is no technique "${name}"; there are ${[...TECHNIQUES.keys()].join(', ')}`,
        );
      return techniqueView(spec);
    },
  );
}

function techniqueView(spec: TechniqueSpec): Technique {
  const { name, version, summary, paper = null } = spec;
  return { name, version, summary, paper, parameters: stepSchema(spec) };
}
