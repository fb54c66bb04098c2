import type { ArtifactRepository, StoredArtifact, Usage } from '../jobs/ports/api-side.ts';
import type { Database } from './database.ts';
import type { Artifact } from './generated/client.ts';
import { pageQuery, toPage } from './pages.ts';

export function artifactRepository(database: Database): ArtifactRepository {
  return {
    async find(tenantId, id) {
      const row = await database.artifact.findFirst({ where: { id, tenantId } });
      return row && toArtifact(row);
    },
    async list(tenantId, { jobId }, page) {
      const { where, ...query } = pageQuery(page);
      const rows = await database.artifact.findMany({
        where: { tenantId, ...(jobId === undefined ? {} : { jobId }), ...where },
        ...query,
      });
      return toPage(rows, page.limit, toArtifact);
    },
  };
}

export function toArtifact(row: Artifact): StoredArtifact {
  return { ...row, sizeBytes: Number(row.sizeBytes) };
}

export function usage(database: Database): Usage {
  return {
    async isReferenced(sha256) {
      const [row] = await database.$queryRaw<{ referenced: boolean }[]>`
        SELECT EXISTS (SELECT 1 FROM models WHERE sha256 = ${sha256})
          OR EXISTS (SELECT 1 FROM datasets WHERE sha256 = ${sha256})
          OR EXISTS (SELECT 1 FROM artifacts WHERE sha256 = ${sha256}) AS referenced`;
      return row?.referenced ?? false;
    },
    async storedBytes(tenantId) {
      const [row] = await database.$queryRaw<{ bytes: bigint }[]>`
        SELECT coalesce(sum(size_bytes), 0)::bigint AS bytes FROM (
          SELECT size_bytes FROM models WHERE tenant_id = ${tenantId}
          UNION ALL SELECT size_bytes FROM datasets WHERE tenant_id = ${tenantId}
          UNION ALL SELECT size_bytes FROM artifacts WHERE tenant_id = ${tenantId}) AS stored`;
      return Number(row?.bytes ?? 0);
    },
  };
}
