/**
 * Writes the database client to src/store/generated. The Prisma CLI wants a schema engine's path even where it only
 * generates; its download is refused behind registry mirrors, so an existing file (never run) is named instead.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** @throws Error with the CLI's own words where it fails */
export function generateClient() {
  rmSync(join(root, 'src', 'store', 'generated'), { recursive: true, force: true });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules', 'prisma', 'build', 'index.js'),
      'generate',
      '--schema',
      join(root, 'prisma', 'schema.prisma'),
      '--no-hints',
    ],
    {
      cwd: root,
      encoding: 'utf8',
      timeout: 120_000,
      env: {
        ...process.env,
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      },
    },
  );
  if (status !== 0) throw new Error(`prisma generate failed (${status}):\n${stdout}${stderr}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) generateClient();
