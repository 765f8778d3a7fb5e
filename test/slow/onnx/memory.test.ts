import { expect, it } from '@jest/globals'
import { measureLoading } from '../../onnx/large-file.ts'

it('loads 1 GB in 1.5 times its size of memory', () => {
  const { fileBytes, tensorBytes, peakBytes } = measureLoading(100_000_000, 'rawData')
  expect(tensorBytes).toBe(1_000_000_000)
  expect(peakBytes).toBeLessThan(1.5 * fileBytes)
}, 120_000)
