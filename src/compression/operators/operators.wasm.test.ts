import { describeOperators } from '../../../test/support/operator-cases/describe.ts';
import { elementwiseCases } from '../../../test/support/operator-cases/elementwise.ts';
import { indexingCases } from '../../../test/support/operator-cases/indexing.ts';
import { movementCases } from '../../../test/support/operator-cases/movement.ts';
import { reductionCases } from '../../../test/support/operator-cases/reductions.ts';

describeOperators('wasm', [...elementwiseCases, ...reductionCases, ...movementCases, ...indexingCases]);
