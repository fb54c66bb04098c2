/** An S3 server for tests, over HTTP: s3rver, in this process. */
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Server {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
}
type ServerClass = new (options: Readonly<Record<string, unknown>>) => Server;

/** The keys that s3rver knows. */
const KEYS = 'S3RVER:S3RVER';

export interface TestS3 {
  /** LATHE_S3_URL of a bucket that is there. */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startS3(): Promise<TestS3> {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-test-s3-'));
  const S3rver = createRequire(import.meta.url)('s3rver') as ServerClass;
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory: folder,
    configureBuckets: [{ name: 'artifacts' }],
  });
  const { port } = await server.run();
  return {
    url: `http://${KEYS}@127.0.0.1:${port}/artifacts/lathe`,
    async stop() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
