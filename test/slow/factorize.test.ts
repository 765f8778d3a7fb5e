import { expect } from '@jest/globals'
import { prepareChannels } from '../../channels/prepare.ts'
import { loadModel } from '../../onnx/load.ts'
import { countMacs } from '../../onnx/multiplications.ts'
import { numbers } from '../../onnx/tensor.ts'
import { factorize } from '../../stages/factorize/index.ts'
import { contextOf } from '../stages/support.ts'
import { outputsOf } from '../support/compare.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

itWithShared(
  'halves the MACs of a real network by the best methods, without training',
  async () => {
    const file = 'conv-distiller-resnet20-dense-cifar10.onnx'
    const model = await loadModel(sharedModel(file))
    const { context } = contextOf(model)
    const options = factorize.options.parse({ stage: 'factorize', target: { macs: 0.5 } })
    const { model: smaller } = await factorize.run({ model, facts: {} }, options, context)
    const macsOf = async (one: typeof model) => countMacs(await prepareChannels(one))!
    expect((await macsOf(smaller)) / (await macsOf(model))).toBeLessThanOrEqual(0.5)
    const [before, after] = [await outputsOf(model, file), await outputsOf(smaller, file)]
    const [expected, found] = [numbers(before.logits!), numbers(after.logits!)]
    const dot = (one: number[], other: number[]) =>
      one.reduce((sum, value, index) => sum + value * other[index]!, 0)
    const cosine = dot(expected, found) / Math.sqrt(dot(expected, expected) * dot(found, found))
    expect(cosine).toBeGreaterThan(0.9)
  },
)
