/**
 * Order of test files: flows over the whole service first. They take the longest, and one that starts last would leave
 * all other workers idle.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

export class FlowsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isFlow = ({ moduleId }: TestSpecification) => moduleId.includes('/test/flow/');
    return [...sorted.filter(isFlow), ...sorted.filter((file) => !isFlow(file))];
  }
}
