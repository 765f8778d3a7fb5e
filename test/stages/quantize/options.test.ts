import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { quantizeOptions } from '../../../stages/quantize/options.ts'

describe('the options of quantization', () => {
  it('have defaults for what is left out', () => {
    expect(quantizeOptions.parse({ stage: 'quantize', scheme: 'static', calibration: {} })).toEqual(
      {
        stage: 'quantize',
        scheme: 'static',
        calibration: { method: 'minmax', samples: 512 },
        exclude: [],
        quantized: 'refuse',
      },
    )
  })

  it.each([
    [{ scheme: 'dynamic', calibration: {} }, 'calibration', "does not go with scheme 'dynamic'"],
    [
      { scheme: 'dynamic', activations: 'int8' },
      'activations',
      "does not go with scheme 'dynamic'",
    ],
    [{ scheme: 'float16', perChannel: true }, 'perChannel', "does not go with scheme 'float16'"],
    [{ scheme: 'float16', weightBits: 8 }, 'weightBits', "does not go with scheme 'float16'"],
    [
      { scheme: 'static', format: 'qoperator', activations: 'int16' },
      'activations',
      "int16 does not go with format 'qoperator', whose operators have 8 bits",
    ],
    [{ scheme: 'dynamic', symmetric: 'both' }, 'symmetric', "does not go with scheme 'dynamic'"],
    [
      { scheme: 'static', calibration: { method: 'entropy', share: 0.9 } },
      'calibration.share',
      "goes with method 'percentile', not with 'entropy'",
    ],
    [
      { scheme: 'static', calibration: { file: 'ranges.json', from: 'noise' } },
      'calibration.from',
      "goes without 'file', which has what there is to know",
    ],
  ])('refuse %j', (options, path, message) => {
    const result = quantizeOptions.safeParse({ stage: 'quantize', ...options })
    expect(result.error?.issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([
      [path, message],
    ])
  })

  it('refuse unknown keys', () => {
    const result = quantizeOptions.safeParse({ stage: 'quantize', scheme: 'static', bits: 4 })
    expect(result.success).toBe(false)
  })

  it('have a JSON Schema', () => {
    expect(z.toJSONSchema(quantizeOptions, { io: 'input' })).toMatchObject({
      required: ['stage', 'scheme'],
    })
  })
})
