/** One part of a pipeline whose computing is a delay; what crosses its cuts is real. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Address } from '../../src/compression/parallel/pipeline/link.ts';
import type { Pass } from '../../src/compression/parallel/pipeline/schedule.ts';
import { StreamLink } from '../../src/compression/parallel/pipeline/stream-link.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import { delayOf, type PartAnswer, type PartRequest } from './pipeline-protocol.ts';

process.once('message', (request) => void main(request as PartRequest));
process.once('disconnect', () => process.exit());

async function main(request: PartRequest): Promise<void> {
  await tf.setBackend('cpu');
  const { part, schedule, folder, batches } = request;
  const last = schedule.length - 1;
  const neighbours = new Map<number, Socket>();
  const waiting = part < last ? accept(join(folder, `${part}`)) : null;
  if (part > 0) neighbours.set(part - 1, await reach(join(folder, `${part - 1}`)));
  if (waiting) neighbours.set(part + 1, await waiting);
  const link = new StreamLink(
    part,
    schedule.map((_, i) => i),
    neighbours,
  );
  await batch(request, link);
  const startedAt = now();
  for (let i = 0; i < batches; i++) await batch(request, link);
  process.send?.({ startedAt, endedAt: now() } satisfies PartAnswer);
}

async function batch(request: PartRequest, link: StreamLink): Promise<void> {
  const splits = request.schedule.flat().some(({ kind }) => kind === 'weights');
  for (const pass of request.schedule[request.part] ?? []) {
    await arrival(pass, request, link);
    await delay(delayOf(pass, request.forwardMs, splits));
    departure(pass, request, link);
  }
}

async function arrival(pass: Pass, { schedule }: PartRequest, link: StreamLink): Promise<void> {
  const { stage, microBatch } = pass;
  const from = pass.kind === 'forward' ? stage - 1 : stage + 1;
  if (pass.kind === 'weights' || from < 0 || from >= schedule.length) return;
  const values = await link.receive({ kind: pass.kind, from, to: stage, microBatch });
  for (const value of values.values()) if (value.kind === 'device') value.tensor.dispose();
}

/** Does not wait for the bytes to leave: the next pass computes meanwhile. */
function departure(pass: Pass, { schedule, kib }: PartRequest, link: StreamLink): void {
  const { stage, microBatch } = pass;
  const to = pass.kind === 'forward' ? stage + 1 : stage - 1;
  if (pass.kind === 'weights' || to < 0 || to >= schedule.length) return;
  const address: Address = { kind: pass.kind, from: stage, to, microBatch };
  void link.send(address, new Map([['x', { kind: 'device', dtype: 'float32', tensor: tf.zeros([kib * 256]) }]]));
}

async function accept(path: string): Promise<Socket> {
  const server = createServer().listen(path);
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  return socket;
}

/** The other part may not listen yet. */
async function reach(path: string): Promise<Socket> {
  for (let tries = 0; ; tries++) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (tries > 600) throw error;
      await delay(50);
    }
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
