import { expect, it } from '@jest/globals'
import { type Form, measureLoading } from './large-file.ts'

it.each<Form>(['rawData', 'floatData'])(
  'loads 200 MB of %s in 1.5 times its size of memory',
  (form) => {
    const { fileBytes, tensorBytes, peakBytes } = measureLoading(20_000_000, form)
    expect(tensorBytes).toBe(200_000_000)
    expect(peakBytes).toBeLessThan(1.5 * fileBytes)
  },
)
