-- Rows that wait for a relay stay: all of them are of jobs that were queued.

-- DropForeignKey
ALTER TABLE "outbox" DROP CONSTRAINT "outbox_job_id_fkey";

-- AlterTable
ALTER TABLE "outbox" ADD COLUMN     "kind" TEXT,
ADD COLUMN     "version" INTEGER,
ADD COLUMN     "payload" JSONB,
ADD COLUMN     "claimed_until" TIMESTAMPTZ(3);

UPDATE "outbox" SET "kind" = 'job-queued', "version" = 1, "payload" = jsonb_build_object('jobId', "job_id");

-- AlterTable
ALTER TABLE "outbox" DROP COLUMN "job_id",
ALTER COLUMN "kind" SET NOT NULL,
ALTER COLUMN "version" SET NOT NULL,
ALTER COLUMN "payload" SET NOT NULL;
