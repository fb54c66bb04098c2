/** Where set-up keeps what it builds and fetches, outside the tree. */
export function cacheFolder(env?: NodeJS.ProcessEnv): string;
