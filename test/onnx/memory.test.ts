import { expect, it } from '@jest/globals'
import { measureLoading } from './large-file.ts'

// More, and the other form of numbers, are in the slow tests.
it('loads 200 MB in 1.5 times its size of memory', () => {
  const { fileBytes, tensorBytes, peakBytes } = measureLoading(20_000_000, 'rawData')
  expect(tensorBytes).toBe(200_000_000)
  expect(peakBytes).toBeLessThan(1.5 * fileBytes)
})
