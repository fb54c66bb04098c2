/** Which steps may follow which: asks the techniques' specs about every ordered pair. */
import { Value } from 'typebox/value';
import type { Step } from '../../contracts/job-request.ts';
import type { ErrorDetail } from '../../errors.ts';
import { specOf } from '../techniques/registry.ts';
import type { EarlierStep, TechniqueSpec } from '../techniques/technique.ts';
import { schemaProblems } from './schema-problems.ts';

/**
 * For each step, its first contradiction with an earlier one. Skips steps of unknown techniques; uses the default for
 * parameters that do not fit the schema.
 * @param steps with their defaults filled in
 */
export function orderProblems(steps: readonly Step[]): ErrorDetail[] {
  const earlier: EarlierStep[] = [];
  return steps.flatMap(({ technique, ...given }, index) => {
    const spec = specOf(technique);
    const parameters = spec && fitting(spec, given);
    if (!parameters) return [];
    const message = earlier.map((step) => contradiction(spec, parameters, step)).find((found) => found !== null);
    earlier.push({ index, technique, parameters, storage: spec.storage?.(parameters) ?? null });
    return message ? [{ path: `/steps/${index}`, message }] : [];
  });
}

function contradiction(spec: TechniqueSpec, parameters: Record<string, unknown>, earlier: EarlierStep): string | null {
  const own = spec.contradictsAfter?.(parameters, earlier) ?? null;
  if (own !== null || earlier.storage !== 'uint8' || !spec.changesFloatWeights(parameters)) return own;
  return (
    `already-quantized: ${spec.name} changes float weights; ` +
    `put it before step ${earlier.index}, which quantizes them to integers`
  );
}

/** The parameters, with defaults for those that do not fit; null if a required one has no default. */
function fitting(spec: TechniqueSpec, given: Record<string, unknown>): Record<string, unknown> | null {
  const wrong = new Set(schemaProblems(spec.parameters, given).map(({ path }) => path.split('/')[1]));
  if (wrong.size === 0) return given;
  const rest = Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name)));
  const complete = Value.Default(spec.parameters, Value.Clone(rest)) as Record<string, unknown>;
  return schemaProblems(spec.parameters, complete).length === 0 ? complete : null;
}
