/**
 * Licences of the installed production packages against those that Lathe may be delivered with, and known
 * vulnerabilities (high and critical) where the registry answers. Nothing but `npm audit` needs the network.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import satisfies from 'spdx-satisfies';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Permissive: they ask for no more than that their text is kept. */
const ALLOWED = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
];

/** Packages with another licence, or with none that a program can read: which, and why it is allowed. */
const EXCEPTIONS = [
  {
    name: /^@img\/sharp-(libvips|wasm32|win32)/,
    licence: /LGPL-3\.0-or-later/,
    reason: 'libvips is a shared library of its own, which can be replaced',
  },
  { name: /^elkjs$/, licence: /^EPL-2\.0$/, reason: "unchanged, in the Prisma CLI's studio, which is never loaded" },
  { name: /^h5wasm$/, licence: /^SEE LICENSE IN LICENSE\.txt$/, reason: "NIST's public-domain statement" },
  { name: /^@visx\/vendor$/, licence: /^MIT and ISC$/, reason: 'MIT AND ISC, not written as SPDX wants it' },
  { name: /^seq-queue$/, licence: /^none$/, reason: 'its file LICENSE is the MIT licence' },
];

/** @returns {string | null} what is wrong with the licence of a package; null: nothing */
export function licenceProblem(name, licence) {
  if (isAllowed(licence)) return null;
  if (EXCEPTIONS.some((exception) => exception.name.test(name) && exception.licence.test(licence))) return null;
  return `${name}: its licence is "${licence}"; take another package, or name it with a reason in scripts/audit.mjs`;
}

function isAllowed(licence) {
  try {
    return satisfies(licence, ALLOWED);
  } catch {
    return false; // no SPDX expression
  }
}

/** @returns {string[]} */
function licenceProblems() {
  return productionPackages().flatMap(({ name, licence }) => licenceProblem(name, licence) ?? []);
}

/** Those of package-lock.json that are installed here; a platform's package is on no other platform. */
function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .flatMap(([path]) => readManifest(path) ?? [])
    .map(({ name, license, licenses }) => ({ name, licence: licenceOf(license ?? licenses) }));
}

function readManifest(path) {
  try {
    return JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8'));
  } catch {
    return null;
  }
}

/** Older packages write an object or a list of them; each of a list may be chosen. */
function licenceOf(field) {
  if (Array.isArray(field)) return field.map(licenceOf).join(' OR ');
  return (typeof field === 'object' ? field?.type : field) ?? 'none';
}

/** @returns {{asked: boolean, findings: string[]}} asked: whether the registry answered */
function vulnerabilities() {
  const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: root, encoding: 'utf8' });
  const report = parseReport(stdout);
  if (!report) return { asked: false, findings: [] };
  const findings = Object.values(report)
    .filter(({ severity }) => severity === 'high' || severity === 'critical')
    .map(({ name, range, severity }) => `${name} ${range}: ${severity}; npm audit tells which version mends it`);
  return { asked: true, findings };
}

/** @returns {Record<string, {name: string, range: string, severity: string}> | null} */
function parseReport(text) {
  try {
    return JSON.parse(text).vulnerabilities ?? null;
  } catch {
    return null;
  }
}

function main() {
  const { asked, findings } = vulnerabilities();
  const problems = [...licenceProblems(), ...findings];
  for (const problem of problems) console.error(problem);
  if (!asked) console.log('The registry answers no npm audit: only licences were checked');
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
