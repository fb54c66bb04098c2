export { LatheClient, unwrap, type Connection, type Schemas } from './client.ts';
export type { DownloadOptions } from './download.ts';
export { LAST_EVENTS, type EventsOptions, type JobEvent } from './events.ts';
export type { paths } from './generated/api.ts';
export { ProblemError } from './problem-error.ts';
export type { OnProgress, UploadOptions } from './upload.ts';
