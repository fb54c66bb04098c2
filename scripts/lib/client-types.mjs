/** The TypeScript client's types, generated from openapi.yaml. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import openapiTS, { astToString, stringToAST } from 'openapi-typescript';
import { root } from './built.mjs';

export const clientTypesPath = join(root, 'clients', 'typescript', 'src', 'generated', 'api.ts');

const HEADER = '/** Generated from openapi.yaml by `npm run openapi`: change the route schemas instead. */\n';
/** What a field of format "binary" is sent as. */
const BINARY = 'type T = Blob | ReadableStream<Uint8Array>';

/** @returns {Promise<string>} the text of `clientTypesPath` */
export async function generateClientTypes(yaml = readFileSync(join(root, 'openapi.yaml'), 'utf8')) {
  const [declaration] = /** @type {import('typescript').TypeAliasDeclaration[]} */ (stringToAST(BINARY));
  const types = await openapiTS(yaml, {
    defaultNonNullable: false,
    transform: (schema) => (schema.format === 'binary' ? declaration.type : undefined),
  });
  return HEADER + astToString(types);
}
