// Repairs as options of the stage.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../../base/errors.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { predict } from '../../../../runtime/predict.ts'
import { quantizeOptions } from '../../../../stages/quantize/options.ts'
import { repairs } from '../../../../stages/quantize/repair/repairs.ts'
import { quantized, samplesOf } from '../support.ts'
import { attentive, mobile, normalized } from './models.ts'

const images = samplesOf([3, 12, 12], 32)

/** Signal to quantization noise of the outputs, in dB. */
async function signalToNoise(float: Model, other: Model): Promise<number> {
  const [a, b] = [await predict(float, images), await predict(other, images)]
  let [signal, noise] = [0, 0]
  for (const [at, value] of a.outputs.entries()) {
    signal += value ** 2
    noise += (value - b.outputs[at]!) ** 2
  }
  return 10 * Math.log10(signal / noise)
}

// Of 7 bits, so that every processor adds products of them right.
const plain = { scheme: 'static', perChannel: false, weightBits: 7 } as const

describe('the option repair', () => {
  it('makes up for one scale a tensor in a model like MobileNet', async () => {
    const model = mobile()
    const before = await quantized(model, plain, images)
    const options = { repairSamples: 32, biasCorrection: 'full', roundingSteps: 200 } as const
    const repair = ['bias-correction', 'adaround', 'equalization'] as const
    const after = await quantized(model, { ...plain, ...options, repair: [...repair] }, images)
    expect(after.facts.summary).toMatch(
      /equalized 34 channels of 6 weights, learned the rounding of \d layers, corrected the biases of 6 layers/,
    )
    const [was, is] = [
      await signalToNoise(model, before.model),
      await signalToNoise(model, after.model),
    ]
    expect(is).toBeGreaterThan(was + 3)
  })

  it.each([
    ['smoothquant', /smoothed the inputs of 5 layers/],
    ['split-outliers', /split \d+ channels of \d layers/],
  ] as const)('takes %s with static and with dynamic quantization', async (name, said) => {
    for (const scheme of ['static', 'dynamic'] as const) {
      const { facts } = await quantized(mobile(), { scheme, repair: [name] }, images)
      expect(facts.summary).toMatch(said)
    }
  })

  it('takes statistics of BatchNormalization behind rounded weights', async () => {
    const repair = ['batch-normalization'] as const
    const { facts } = await quantized(normalized(), { ...plain, repair: [...repair] }, images)
    expect(facts.summary).toMatch(/took 1 BatchNormalization anew/)
  })

  it('says when there is nothing to do, and quantizes all the same', async () => {
    const { facts } = await quantized(
      attentive(),
      { scheme: 'dynamic', repair: ['batch-normalization'] },
      samplesOf([4, 16]),
    )
    expect(facts.summary).not.toMatch(/BatchNormalization/)
  })

  it('needs samples for what looks at them', async () => {
    const run = quantized(mobile(), { scheme: 'dynamic', repair: ['smoothquant'] })
    await expect(run).rejects.toThrow(UserError)
    await expect(run).rejects.toThrow(
      /^repair: 'smoothquant' needs calibration samples: there are none — /,
    )
  })

  it.each([
    [{ repair: ['magic'] }, /bias-correction/],
    [{ repair: [] }, />=1/],
    [{ smoothing: 0.5 }, /goes with repair 'smoothquant'/],
    [{ repair: ['smoothquant'], smoothing: 2 }, /<=1/],
    [{ splitShare: 0.5 }, /goes with repair 'split-outliers'/],
    [{ roundingSteps: 5 }, /goes with repair 'adaround'/],
    [{ biasCorrection: 'full', repair: ['adaround'] }, /goes with repair 'bias-correction'/],
    [{ repairSamples: 5 }, /goes with 'repair'/],
    [{ scheme: 'dynamic', repair: ['adaround'] }, /'adaround' goes with scheme 'static'/],
    [{ scheme: 'float16', repair: ['equalization'] }, /does not go with scheme 'float16'/],
  ])('refuses %j', (options, message) => {
    const parsed = quantizeOptions.safeParse({ stage: 'quantize', scheme: 'static', ...options })
    expect(parsed.success).toBe(false)
    expect(parsed.error?.issues.map((issue) => issue.message).join('; ')).toMatch(message)
  })

  it('has a summary for every repair', () => {
    for (const { summary } of Object.values(repairs)) expect(summary).toMatch(/^[a-z].*[a-z]$/)
  })
})
