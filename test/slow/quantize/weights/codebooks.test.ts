// Further clusters, and few levels in a real model.
import { describe, it } from '@jest/globals'
import {
  clusterRows,
  expectClusters,
  expectRealModel,
} from '../../../stages/quantize/weights/codebook-checks.ts'
import { itWithShared } from '../../../support/shared.ts'

describe('clusters', () => {
  it.each(clusterRows.slow)(
    'of %d of the weights, shared by %s, of %d bits: few values, small files, the same answers',
    (...row) => expectClusters(row),
  )
})

itWithShared.each(['ternary', 'clusters'] as const)('%s goes through a real model', expectRealModel)
