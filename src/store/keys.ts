import { newId } from '../ids.ts';
import type { KeyRepository, Principal, StoredKey } from '../jobs/ports/api-side.ts';
import { TRANSACTION, type Database } from './database.ts';
import type { Prisma } from './generated/client.ts';
import { pageQuery, toPage } from './pages.ts';
import { storableText } from './storable.ts';

type KeyRow = Prisma.ApiKeyGetPayload<{ include: { tenant: true } }>;
/** How often `lastUsedAt` is written at most. */
const LAST_USED_INTERVAL_MS = 60_000;

export function keyRepository(database: Database): KeyRepository {
  return {
    authenticate: (mac) => authenticate(database, mac),
    /** An existing key (the first administrator's, at every start) is left unchanged, even if revoked. */
    async add({ tenant, ...key }) {
      return database.$transaction(async (tx) => {
        const name = storableText(tenant);
        const owner = await tx.tenant.upsert({ where: { name }, create: { id: newId('tenant'), name }, update: {} });
        const data = { ...key, name: storableText(key.name), tenantId: owner.id };
        return toKey(
          await tx.apiKey.upsert({ where: { mac: key.mac }, create: data, update: {}, include: { tenant: true } }),
        );
      }, TRANSACTION);
    },
    async list(page) {
      const { where, ...query } = pageQuery(page);
      return toPage(
        await database.apiKey.findMany({ where: { revokedAt: null, ...where }, include: { tenant: true }, ...query }),
        page.limit,
        toKey,
      );
    },
    async revoke(id) {
      const { count } = await database.apiKey.updateMany({
        where: { id, revokedAt: null },
        data: { revokedAt: new Date() },
      });
      return count > 0;
    },
  };
}

async function authenticate(database: Database, mac: string): Promise<Principal | null> {
  const row = await database.apiKey.findUnique({ where: { mac } });
  if (!row || row.revokedAt) return null;
  const now = Date.now();
  if (now - (row.lastUsedAt?.getTime() ?? 0) > LAST_USED_INTERVAL_MS) {
    await database.apiKey.updateMany({ where: { id: row.id }, data: { lastUsedAt: new Date(now) } });
  }
  return { keyId: row.id, tenantId: row.tenantId, role: row.role };
}

function toKey({ id, tenant, name, role, prefix, createdAt, lastUsedAt }: KeyRow): StoredKey {
  return { id, tenant: tenant.name, name, role, prefix, createdAt, lastUsedAt };
}
