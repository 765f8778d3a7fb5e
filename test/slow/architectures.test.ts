// Architectures as large as they are published, and the deepest examples learn.
import { describe, it } from '@jest/globals'
import { examples } from '../models/examples.ts'
import { expectCounts, expectLearning, isDeep, published } from '../models/published.ts'

describe('parameters and multiplications', () => {
  it.each(published.slow)('of %j are as published or by hand', (...row) => expectCounts(row))
})

it.each(examples.filter(isDeep))('%s learns', (...example) => expectLearning(example))
