import type { DatasetDescription } from '../contracts/dataset.ts';
import { ACTIVE_STATES } from '../contracts/job-states.ts';
import type { DatasetRepository, NewDataset, Removal, StoredDataset } from '../jobs/ports/api-side.ts';
import { TRANSACTION, type Connection, type Database } from './database.ts';
import type { Dataset } from './generated/client.ts';
import { pageQuery, toPage } from './pages.ts';
import { storable, storableText } from './storable.ts';
import { isDuplicate } from './unavailable.ts';

export function datasetRepository(database: Database): DatasetRepository {
  const findByContent: DatasetRepository['findByContent'] = async (tenantId, sha256, options) => {
    const row = await database.dataset.findUnique({
      where: { tenantId_sha256_optionsText: { tenantId, sha256, optionsText: canonicalText(options) } },
    });
    return row && toDataset(row);
  };
  return {
    findByContent,
    async add(dataset) {
      const { tenantId, sha256, options } = dataset;
      try {
        return toDataset(await database.dataset.create({ data: newRow(dataset) }));
      } catch (error) {
        const existing = isDuplicate(error) ? await findByContent(tenantId, sha256, options) : null;
        if (existing) return existing;
        throw error;
      }
    },
    async find(tenantId, id) {
      const row = await database.dataset.findFirst({ where: { id, tenantId } });
      return row && toDataset(row);
    },
    async list(tenantId, page) {
      const { where, ...query } = pageQuery(page);
      return toPage(
        await database.dataset.findMany({ where: { tenantId, ...where }, ...query }),
        page.limit,
        toDataset,
      );
    },
    remove: (tenantId, id) => database.$transaction((tx) => remove(tx, tenantId, id), TRANSACTION),
  };
}

function newRow({ description, options, name, sizeBytes, ...rest }: NewDataset) {
  return {
    ...rest,
    name: storableText(name),
    sizeBytes: BigInt(sizeBytes),
    description: storable(description),
    options: storable(options),
    optionsText: canonicalText(options),
  };
}

/** As for models: locked first, then looked at. */
async function remove(tx: Connection, tenantId: string, id: string): Promise<Removal> {
  const [row] = await tx.$queryRaw<{ sha256: string }[]>`
    SELECT sha256 FROM datasets WHERE id = ${id} AND tenant_id = ${tenantId} FOR UPDATE`;
  if (!row) return { outcome: 'not-found' };
  const used = await tx.job.findFirst({
    where: { datasetId: id, state: { in: [...ACTIVE_STATES] } },
    select: { id: true },
  });
  if (used) return { outcome: 'in-use' };
  await tx.dataset.delete({ where: { id } });
  return { outcome: 'removed', sha256: row.sha256 };
}

/** Equal for equal options, in whatever order they came. */
function canonicalText(options: Record<string, string>): string {
  return storableText(JSON.stringify(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))));
}

export function toDataset(row: Dataset): StoredDataset {
  const { optionsText: _, ...rest } = row;
  return {
    ...rest,
    sizeBytes: Number(row.sizeBytes),
    options: row.options as Record<string, string>,
    description: row.description as unknown as DatasetDescription,
  };
}
