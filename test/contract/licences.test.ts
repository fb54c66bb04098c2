import { expect, test } from 'vitest';
import { licenceProblem } from '../../scripts/audit.mjs';

test.each(['MIT', '(MIT OR GPL-3.0-only)', 'Apache-2.0 AND MIT', '(BSD-3-Clause AND Apache-2.0)'])(
  'a package may be under %s',
  (licence) => {
    expect(licenceProblem('some-package', licence)).toBeNull();
  },
);

test.each([
  'GPL-3.0-only',
  'MIT AND AGPL-3.0-only',
  'LGPL-3.0-or-later',
  'EPL-2.0',
  'none',
  'UNLICENSED',
  'SEE LICENSE IN X',
])('a package may not be under %s', (licence) => {
  expect(licenceProblem('some-package', licence)).toContain(`some-package: its licence is "${licence}"`);
});

test('an exception is for one package and one licence', () => {
  expect(licenceProblem('elkjs', 'EPL-2.0')).toBeNull();
  expect(licenceProblem('elkjs', 'GPL-3.0-only')).not.toBeNull();
  expect(licenceProblem('elkjs-other', 'EPL-2.0')).not.toBeNull();
});
