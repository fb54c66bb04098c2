/** Why the engine cannot be built, and what a person can do about it. */
export class BuildProblem extends Error {
  constructor(reason, remedy) {
    super(reason);
    this.name = 'BuildProblem';
    this.remedy = remedy;
  }
}

/** Errors of the file system in a user's words; others are passed on as they are. */
export function asProblem(error, cache) {
  if (error instanceof BuildProblem) return error;
  if (error?.code === 'ENOSPC')
    return new BuildProblem(
      `the disk of ${cache} is full`,
      `free space there, or set XDG_CACHE_HOME to a disk that has it`,
    );
  if (['EACCES', 'EPERM', 'EROFS'].includes(error?.code)) {
    return new BuildProblem(`${error.path ?? cache} cannot be written`, 'set XDG_CACHE_HOME to a folder that can');
  }
  return new BuildProblem(
    String(error?.message ?? error),
    'run "npm run setup" again; LATHE_ENGINE=wasm does without it',
  );
}
