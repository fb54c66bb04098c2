/** The manifest: everything needed to reproduce the files and to identify them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { JobRequest } from '../../contracts/job-request.ts';
import type { Report } from '../../contracts/report.ts';
import { RUNTIME } from '../measure/session.ts';
import { specOf } from '../techniques/registry.ts';
import { engine } from '../tensor/engine.ts';
import { projectRoot } from '../tensor/project-root.ts';
import { sha256 } from './sha256.ts';

export interface ManifestInput {
  readonly modelBytes: Uint8Array;
  readonly request: JobRequest;
  readonly dataset: DatasetDescription | null;
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array; readonly step: number | null }[];
  readonly report: Report;
}

/** JSON, UTF-8. */
export function writeManifest({ modelBytes, request, dataset, provenance, files, report }: ManifestInput): Uint8Array {
  const { name, version, devices, threads } = engine();
  const techniques = [...new Set(request.steps.map(({ technique }) => technique))];
  const manifest = {
    manifestVersion: 1,
    createdAt: new Date().toISOString(),
    input: {
      model: { id: request.model, sha256: sha256(modelBytes), sizeBytes: modelBytes.length },
      dataset: dataset ? { id: request.dataset ?? null, ...dataset } : null,
    },
    recipe: request,
    seed: request.seed ?? 0,
    techniques: Object.fromEntries(techniques.map((technique) => [technique, specOf(technique)?.version ?? null])),
    software: { lathe: ownVersion(), node: process.version, runtime: RUNTIME, engine: `${name} ${version}` },
    device: { devices, threads, platform: `${process.platform} ${process.arch}` },
    files: files.map((file) => ({
      name: file.name,
      step: file.step,
      sizeBytes: file.bytes.length,
      sha256: sha256(file.bytes),
    })),
    report,
    ...provenance,
  };
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }).version;
}
