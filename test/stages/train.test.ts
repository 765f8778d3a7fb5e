// The options of training, from the recipe to the model.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { predict } from '../../runtime/predict.ts'
import { classes, data, shape } from './support.ts'
import { expectHeeded, expectRepeated, heeded, trained } from './trained.ts'

/** How often each class is the answer for the test samples. */
async function answers(model: Model): Promise<number[]> {
  const { outputs } = await predict(model, data.test)
  const counts = new Array<number>(classes).fill(0)
  for (let row = 0; row < data.test.size; row++) {
    const scores = outputs.subarray(row * classes, (row + 1) * classes)
    counts[scores.indexOf(Math.max(...scores))]!++
  }
  return counts
}

describe('training', () => {
  // The others are repeated in the slow tests.
  it.each(heeded)('heeds %j', async (options) => {
    await ('augment' in options ? expectRepeated(options) : expectHeeded(options))
  })

  it('comes to the same with the other engine', async () => {
    const options = { epochs: 2, batch: 64, clip: 1, average: 0.9 }
    // Small, for convolutions in plain JavaScript are slow.
    const mlp = buildArchitecture(
      { architecture: 'mlp', hidden: [16] },
      { ...oneInput(shape, classes), seed: 1 },
    )
    const [ours, theirs] = [
      await trained(options, data, mlp),
      await trained({ ...options, engine: 'tfjs' }, data, mlp),
    ]
    expect(theirs.messages.join()).toMatch(/TensorFlow/)
    expect(ours.messages.join()).not.toMatch(/TensorFlow/)
    for (const [index, { loss, score }] of ours.facts.epochs!.entries()) {
      const other = theirs.facts.epochs![index]!
      expect(Math.abs(other.loss - loss)).toBeLessThan(1e-3 * loss)
      expect(Math.abs(other.score - score)).toBeLessThanOrEqual(1 / data.validation.size)
    }
  }, 60_000)

  it('makes rare classes count with balanced weights', async () => {
    // Half of all samples are of the first class; what is noise is the first then, unless classes count alike.
    const labels = data.train.labels.map((label, index) => (index % 16 < 12 ? 0 : label))
    const uneven = { ...data, train: { ...data.train, labels } }
    const [plain, balanced] = [
      await trained({ epochs: 3 }, uneven),
      await trained({ epochs: 3, classWeights: 'balanced' }, uneven),
    ]
    expect((await answers(balanced.model))[0]).toBeLessThan((await answers(plain.model))[0]!)
  })

  it('ends early where no epoch is better', async () => {
    const { facts, messages } = await trained({ epochs: 40, stopAfter: 2 })
    expect(facts.epochs!.length).toBeLessThan(40)
    expect(messages.at(-1)).toMatch(/^stopped after epoch \d+: no better one since \d+$/)
  })

  it.each([
    [{ classWeights: [1, 2] }, /^classWeights: needs one number a class: 2 for 4 classes/],
    [{ rates: { 'stemm*': 2 } }, /^rates: matches no layer: 'stemm\*'/],
    [{ freeze: ['*'] }, /has no float32 weights to train/],
  ])('refuses %j', async (options, message) => {
    const training = trained(options)
    await expect(training).rejects.toThrow(UserError)
    await expect(training).rejects.toThrow(message)
  })
})
