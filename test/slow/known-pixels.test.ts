// The larger real data sets, read whole.
import { expectKnownPixels } from '../data/known-pixels.ts'
import { itWithShared } from '../support/shared.ts'

itWithShared.each(['fashion-mnist', 'cifar10'] as const)('reads the real %s', expectKnownPixels)
