/**
 * Prisma's schema engine as WebAssembly, over the same driver as the client: the native engine that the Prisma CLI runs
 * is a download that registry mirrors refuse.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type * as SchemaEngineModule from '@prisma/schema-engine-wasm';

type Exports = Record<string, unknown>;
type Bindings = typeof SchemaEngineModule & { __wbg_set_wasm(exports: Exports): void };
/** The part of the JavaScript API that is used here: without the browser's library TypeScript does not know it. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: Record<string, unknown>): Promise<{ instance: { exports: Exports } }>;
};

/**
 * The driver's own `executeScript` cuts at every semicolon, also within a function's body. Sent whole, a script is one
 * transaction.
 */
class ScriptAdapter extends PrismaPg {
  override async connect() {
    const connection = await super.connect();
    connection.executeScript = async (script) => {
      await connection.underlyingDriver().query(script);
    };
    return connection;
  }
}

/** @param schema text of schema.prisma, needed for `diff` only */
export async function openSchemaEngine(
  databaseUrl: string,
  schema?: { path: string; content: string },
): Promise<{ engine: SchemaEngineModule.SchemaEngine; close(): Promise<void> }> {
  const bindings = await load();
  const adapter = new ScriptAdapter({ connectionString: databaseUrl, max: 2, connectionTimeoutMillis: 10_000 });
  const engine = await bindings.SchemaEngine.new(
    { datamodels: schema ? [[schema.path, schema.content]] : undefined },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(adapter),
  );
  return { engine, close: async () => engine.free() };
}

let loading: Promise<Bindings> | undefined;
let panicMessage = '';

/** Once per process: the bindings hold views into the one memory of their instance. */
function load(): Promise<Bindings> {
  return (loading ??= instantiate());
}

/** Node loads no .wasm by `import`: the module is put together as a bundler would. */
async function instantiate(): Promise<Bindings> {
  // The engine says why it panics here, before it traps.
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: { set_message: (message: string) => (panicMessage = message) },
  });
  const folder = dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm'));
  const bindings = (await import(pathToFileURL(join(folder, 'schema_engine_bg.js')).href)) as Bindings;
  const { instance } = await WebAssembly.instantiate(await readFile(join(folder, 'schema_engine_bg.wasm')), {
    './schema_engine_bg.js': bindings,
  });
  bindings.__wbg_set_wasm(instance.exports);
  (instance.exports.__wbindgen_start as () => void)();
  return bindings;
}

/** The error of an engine call, with the engine's own words where it panicked. */
export function engineError(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(panicMessage ? `${message}: ${panicMessage}` : message, { cause: error });
}
