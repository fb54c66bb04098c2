/**
 * TypeScript's errors and ESLint's findings from one program: the types are computed once for both. Exits 1 where there
 * are any.
 */
import { ESLint } from 'eslint';
import ts from 'typescript';
import { root } from './built.mjs';

const program = readProgram(`${root}/tsconfig.json`);
const errors = ts.getPreEmitDiagnostics(program);
if (errors.length > 0)
  console.log(
    ts.formatDiagnostics(errors, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => root,
      getNewLine: () => '\n',
    }),
  );
const eslint = new ESLint({
  cwd: root,
  overrideConfig: {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: false, programs: [program] } },
  },
});
const results = await eslint.lintFiles(['.']);
const text = await (await eslint.loadFormatter('stylish')).format(results);
if (text) console.log(text);
const findings = results.reduce((sum, { errorCount, fatalErrorCount }) => sum + errorCount + fatalErrorCount, 0);
process.exitCode = errors.length + findings > 0 ? 1 : 0;

/** @param {string} path of a tsconfig.json */
function readProgram(path) {
  const fail = ({ messageText }) => {
    throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
  };
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: fail };
  const config = ts.getParsedCommandLineOfConfigFile(path, {}, host);
  if (!config) throw new Error(`${path} cannot be read`);
  const { options, fileNames, errors } = config;
  return ts.createProgram({ rootNames: fileNames, options, configFileParsingDiagnostics: errors });
}
