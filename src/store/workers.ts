import type { Pool } from '../jobs/ports/queue.ts';
import type { WorkerRegistry } from '../jobs/ports/worker-side.ts';
import type { Database } from './database.ts';

/** Uses the database's clock: those of other machines may be wrong. */
export function workerRegistry(database: Database): WorkerRegistry {
  return {
    async announce({ id, pool, host, pid, devices, engine, slots, jobs, startedAt }) {
      await database.$executeRaw`
        INSERT INTO workers (id, pool, host, pid, devices, engine, slots, jobs, started_at, seen_at)
        VALUES (${id}, ${pool}, ${host}, ${pid}, ${JSON.stringify(devices)}::jsonb, ${engine}, ${slots},
          ${JSON.stringify(jobs)}::jsonb, ${startedAt}, now())
        ON CONFLICT (id) DO UPDATE SET devices = EXCLUDED.devices, engine = EXCLUDED.engine, slots = EXCLUDED.slots,
          jobs = EXCLUDED.jobs, seen_at = now()`;
    },
    async remove(id) {
      await database.worker.deleteMany({ where: { id } });
    },
    async live(withinMs) {
      const ids = await database.$queryRaw<
        { id: string }[]
      >`SELECT id FROM workers WHERE seen_at > now() - ${withinMs}::float8 * interval '1 millisecond'`;
      const rows = await database.worker.findMany({
        where: { id: { in: ids.map(({ id }) => id) } },
        orderBy: { startedAt: 'asc' },
      });
      return rows.map((row) => ({
        ...row,
        pool: row.pool as Pool,
        devices: row.devices as string[],
        jobs: row.jobs as string[],
      }));
    },
  };
}
