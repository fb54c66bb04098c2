import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { specOf, TECHNIQUES } from '../compression/techniques/registry.ts';
import { stepSchema } from './step-schema.ts';

const errorsOf = (technique: string, step: Record<string, unknown>) => {
  const validate = new Ajv2020({ allErrors: true }).compile(stepSchema(specOf(technique)!));
  validate(step);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
};

describe('the published schema of a step', () => {
  test.each([...TECHNIQUES.keys()])(
    'of %s takes a step that names the technique alone, and no parameters at all',
    (technique) => {
      expect(errorsOf(technique, { technique })).toEqual([]);
      expect(errorsOf(technique, {})).toEqual([]);
    },
  );

  test.each([
    { technique: 'prune-weights', sparsity: 0.9, schedule: 'gradual', epochs: 2 },
    { technique: 'prune-weights', threshold: { sigma: 1.5 }, layers: { include: ['conv*'] } },
    { technique: 'distill', teacher: 'original', method: 'logits', temperature: 4, epochs: 1 },
    { technique: 'quantize', precision: 'int8', method: 'static', calibration: { method: 'min-max' } },
    { technique: 'retrain', epochs: 3, training: { learningRate: 0.01 } },
  ])('takes what the API takes: %o', (step) => {
    expect(errorsOf(step.technique, step)).toEqual([]);
  });

  test('refuses what the API refuses', () => {
    expect(errorsOf('prune-weights', { technique: 'distill' })).toHaveLength(1);
    expect(errorsOf('prune-weights', { sparsity: 2 })).toEqual(['/sparsity must be <= 1']);
    expect(errorsOf('quantize', { precision: 'int7' })).toHaveLength(1);
    expect(errorsOf('retrain', { epoch: 1 })).toHaveLength(1);
  });
});
