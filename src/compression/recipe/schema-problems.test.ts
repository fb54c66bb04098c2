import { expect, it } from 'vitest';
import { Type } from 'typebox';
import { Loader } from '../../contracts/job-request.ts';
import { schemaProblems } from './schema-problems.ts';

it.each([
  [{ augment: [{ kind: 'mirror' }] }, '/augment/0/kind', /^must be one of "flip", "crop", .*"scale"$/],
  [{ augment: [{ kind: 'flip' }, { kind: 'crop', padding: -1 }] }, '/augment/1/padding', />= 1/],
  [{ augment: [{ kind: 'crop', size: 3 }] }, '/augment/0/size', /there is no such parameter/],
  [{ augment: ['flip'] }, '/augment/0', /must be one of \{"kind": "flip"/],
  [{ numWorkers: 'many' }, '/numWorkers', /must be one of integer >= 0 <= 64, "auto", "cores"/],
])('explains only the alternative that was meant: %j', (value, path, message) => {
  expect(schemaProblems(Type.Object({ ...Loader.properties }), value)).toEqual([
    { path, message: expect.stringMatching(message) as unknown },
  ]);
});
