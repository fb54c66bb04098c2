import { classicalCases } from '../../../test/support/operator-cases/classical.ts';
import { contractionCases } from '../../../test/support/operator-cases/contractions.ts';
import { describeOperators } from '../../../test/support/operator-cases/describe.ts';
import { elementwiseCases } from '../../../test/support/operator-cases/elementwise.ts';
import { highRankCases } from '../../../test/support/operator-cases/high-ranks.ts';
import { indexingCases } from '../../../test/support/operator-cases/indexing.ts';
import { integerContribCases } from '../../../test/support/operator-cases/integer-contrib.ts';
import { movementCases } from '../../../test/support/operator-cases/movement.ts';
import { networkCases } from '../../../test/support/operator-cases/networks.ts';
import { quantizationCases } from '../../../test/support/operator-cases/quantization.ts';
import { reductionCases } from '../../../test/support/operator-cases/reductions.ts';
import { describeStored } from '../../../test/support/operator-cases/stored.ts';
import { describeIntegers, describeLosses, describeRandom } from '../../../test/support/operator-cases/stochastic.ts';

describeLosses();
describeRandom();
describeIntegers();
describeOperators('tensorflow', [
  ...elementwiseCases,
  ...reductionCases,
  ...movementCases,
  ...indexingCases,
  ...quantizationCases,
  ...contractionCases,
  ...integerContribCases,
  ...classicalCases,
  ...networkCases,
  ...highRankCases,
]);
describeStored();
