import { expect, it } from '@jest/globals'
import { type Form, measureLoading } from '../../onnx/large-file.ts'

it.each<Form>(['rawData', 'floatData'])(
  'loads 1 GB of %s in 1.5 times its size of memory',
  (form) => {
    const { fileBytes, tensorBytes, peakBytes } = measureLoading(100_000_000, form)
    expect(tensorBytes).toBe(1_000_000_000)
    expect(peakBytes).toBeLessThan(1.5 * fileBytes)
  },
  120_000,
)
