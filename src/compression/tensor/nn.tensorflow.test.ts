import { describePrimitives } from '../../../test/support/primitives.ts';

describePrimitives('tensorflow');
