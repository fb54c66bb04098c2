/** Follows a job on the terminal: a progress bar where there is one to draw on, else a line per event worth a line. */
import cliProgress from 'cli-progress';
import { LAST_EVENTS, type JobEvent, type LatheClient } from '../typescript/src/index.ts';

/** Returns the type of the job's last event. */
export async function watch(
  client: LatheClient,
  jobId: string,
  out: NodeJS.WriteStream = process.stdout,
): Promise<string> {
  const bar = out.isTTY
    ? new cliProgress.SingleBar(
        { stream: out, format: '{bar} {percentage} %  {doing}', clearOnComplete: true, hideCursor: true },
        cliProgress.Presets.shades_classic,
      )
    : null;
  bar?.start(100, 0, { doing: 'queued' });
  const print = (line: string): void => {
    if (bar) out.write(`\r\x1b[K${line}\n`);
    else out.write(`${line}\n`);
  };
  try {
    for await (const event of client.events(jobId)) {
      const line = describe(event);
      if (line) print(line);
      const progress = event.data['progress'];
      if (typeof progress === 'number') bar?.update(Math.round(progress * 100), { doing: doing(event) });
      if (LAST_EVENTS.has(event.type)) return event.type;
    }
  } finally {
    bar?.stop();
  }
  throw new Error(`The event stream of ${jobId} ended before the job did`);
}

function doing({ data }: JobEvent): string {
  const epoch = typeof data['epoch'] === 'number' ? `, epoch ${data['epoch']}` : '';
  return `${text(data['technique'], 'running')}${epoch}`;
}

/** One line for an event, or null where the progress bar says enough. */
export function describe({ type, data }: JobEvent): string | null {
  switch (type) {
    case 'progress':
      return null;
    case 'metric':
      return `  ${doing({ id: undefined, type, data })}: ${metrics(data)}`;
    case 'step':
      return `  ${text(data['technique'], 'step')}: ${text(data['state'], 'done')}`;
    case 'warning':
      return `  warning: ${text(data['message'], '')}`;
    case 'failed':
      return `failed: ${text(data['message'] ?? data['detail'], '')} (${text(data['code'], 'internal')})`;
    default:
      return [type, text(data['message'] ?? data['reason'], '')].filter(Boolean).join(': ');
  }
}

function metrics(data: Record<string, unknown>): string {
  const named = (data['metrics'] ?? {}) as Record<string, unknown>;
  const entries = typeof data['name'] === 'string' ? [[data['name'], data['value']] as const] : Object.entries(named);
  return entries
    .map(([name, value]) => `${name} ${typeof value === 'number' ? Number(value.toPrecision(5)) : String(value)}`)
    .join(', ');
}

function text(value: unknown, fallback: string): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : fallback;
}
