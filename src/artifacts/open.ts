import { join } from 'node:path';
import type { ArtifactStore } from './artifact-store.ts';
import { openLocalBlobs } from './local.ts';
import type { S3Location } from './s3-location.ts';

/** The bucket's client is loaded only where there is a bucket. */
export async function openArtifacts({
  home,
  s3,
}: {
  readonly home: string;
  readonly s3: S3Location | null;
}): Promise<ArtifactStore> {
  if (s3 === null) return openLocalBlobs(join(home, 'artifacts'));
  const { openS3Blobs } = await import('./s3.ts');
  return openS3Blobs(s3, join(home, 'artifact-copies'));
}
