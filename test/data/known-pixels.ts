// Real data sets as they are opened, against what is widely published of their pixels.
import { expect } from '@jest/globals'
import { batches } from '../../data/batches.ts'
import { openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { sharedData } from '../support/shared.ts'
import { temporaryFolders } from './support.ts'

const folder = temporaryFolders()

/** Shape, number of training samples, and mean and deviation of the training pixels by channel. */
const known = {
  mnist: [[1, 28, 28], 60000, [0.1307], [0.3081]],
  'fashion-mnist': [[1, 28, 28], 60000, [0.286], [0.353]],
  cifar10: [[3, 32, 32], 20000, [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]],
} as const

/** Expects that a data set is read whole, split, and normalized by the published mean and deviation. */
export async function expectKnownPixels(source: keyof typeof known): Promise<void> {
  const [shape, trainSize, mean, std] = known[source]
  const options = { source, train: { limit: 2000 }, download: false }
  const where = { dataFolder: sharedData, seed: 7 }
  const preprocess = { mean: [...mean], std: [...std] }
  const { splits, facts } = await openData(dataOptions.parse(options), {
    ...{ cacheFolder: folder(), target: 'class', version: 'test', log: () => undefined },
    ...{ ...where, preprocess: preprocessOptions.parse(preprocess) },
  })
  expect(facts).toMatchObject({ source, columns: [{ shape }, {}, {}] })
  expect(facts.classes).toHaveLength(10)
  expect(splits.train.recipe.store.size).toBe(trainSize)
  expect([splits.train.size, splits.validation.size, splits.test.size]).toEqual([1800, 200, 10000])
  const plane = shape[1] * shape[2]
  const sums = new Float64Array(shape[0])
  const squares = new Float64Array(shape[0])
  for (const { columns } of batches(splits.train, { size: 256 })) {
    const inputs = columns[0]!
    for (let at = 0; at < inputs.length; at++) {
      const channel = Math.floor(at / plane) % shape[0]
      sums[channel]! += inputs[at]!
      squares[channel]! += inputs[at]! ** 2
    }
  }
  for (const [channel, sum] of sums.entries()) {
    const [average, power] = [sum / (1800 * plane), squares[channel]! / (1800 * plane)]
    expect(Math.abs(average)).toBeLessThan(0.05)
    expect(Math.abs(Math.sqrt(power - average ** 2) - 1)).toBeLessThan(0.05)
  }
}
