import type { ModelDescription } from '../contracts/model.ts';
import { ACTIVE_STATES } from '../contracts/job-states.ts';
import type { ModelRepository, Removal, StoredModel } from '../jobs/ports/api-side.ts';
import { TRANSACTION, type Connection, type Database } from './database.ts';
import type { Model } from './generated/client.ts';
import { pageQuery, toPage } from './pages.ts';
import { storable, storableText } from './storable.ts';
import { isDuplicate } from './unavailable.ts';

export function modelRepository(database: Database): ModelRepository {
  const findByContent: ModelRepository['findByContent'] = async (tenantId, sha256) => {
    const row = await database.model.findUnique({ where: { tenantId_sha256: { tenantId, sha256 } } });
    return row && toModel(row);
  };
  return {
    findByContent,
    async add(model) {
      const { description, name, sizeBytes, ...rest } = model;
      try {
        return toModel(
          await database.model.create({
            data: {
              ...rest,
              name: storableText(name),
              sizeBytes: BigInt(sizeBytes),
              description: storable(description),
            },
          }),
        );
      } catch (error) {
        const existing = isDuplicate(error) ? await findByContent(model.tenantId, model.sha256) : null;
        if (existing) return existing;
        throw error;
      }
    },
    async find(tenantId, id) {
      const row = await database.model.findFirst({ where: { id, tenantId } });
      return row && toModel(row);
    },
    async list(tenantId, page) {
      const { where, ...query } = pageQuery(page);
      return toPage(await database.model.findMany({ where: { tenantId, ...where }, ...query }), page.limit, toModel);
    },
    remove: (tenantId, id) => database.$transaction((tx) => remove(tx, tenantId, id), TRANSACTION),
  };
}

/**
 * The row is locked before its jobs are looked at: a job that is being submitted now either counts or finds the model
 * gone.
 */
async function remove(tx: Connection, tenantId: string, id: string): Promise<Removal> {
  const [row] = await tx.$queryRaw<{ sha256: string }[]>`
    SELECT sha256 FROM models WHERE id = ${id} AND tenant_id = ${tenantId} FOR UPDATE`;
  if (!row) return { outcome: 'not-found' };
  const used = await tx.jobModel.findFirst({ where: { modelId: id, job: { state: { in: [...ACTIVE_STATES] } } } });
  if (used) return { outcome: 'in-use' };
  await tx.model.delete({ where: { id } });
  return { outcome: 'removed', sha256: row.sha256 };
}

export function toModel(row: Model): StoredModel {
  return { ...row, sizeBytes: Number(row.sizeBytes), description: row.description as unknown as ModelDescription };
}
