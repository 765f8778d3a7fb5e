import { describe, expect } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { openData } from '../../../data/open.ts'
import { preprocessOptions } from '../../../data/preprocess.ts'
import { dataOptions } from '../../../data/sources.ts'
import { loadModel } from '../../../onnx/load.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { predict } from '../../../runtime/predict.ts'
import { withSession } from '../../../runtime/session.ts'
import { itWithShared, sharedData, sharedModel } from '../../support/shared.ts'
import { quantized, samplesOf } from './support.ts'

const number = (summary: string | undefined, name: string): number =>
  Number(new RegExp(`${name} ([\\d.]+)`).exec(summary ?? '')?.[1])

describe('real models in 8 bits', () => {
  itWithShared.each([
    ['conv-tiny-resnet8-cifar10.onnx', [3, 32, 32], 255, 'agreement', 0.9, 15],
    ['conv-tiny-vww96-mobilenet025.onnx', [3, 96, 96], 1, 'agreement', 0.9, 30],
    ['mnist-burn-a.onnx', [1, 28, 28], 1, 'agreement', 0.9, 7],
    ['mnist-8-ortweb.onnx', [1, 28, 28], 255, 'agreement', 0.75, 6],
    ['super-resolution-10.onnx', [1, 224, 224], 1, 'cosine', 0.99, 6],
    ['ultraface-rfb-320.onnx', [3, 240, 320], 1, 'cosine', 0.99, 60],
    ['yolox-nano.onnx', [3, 416, 416], 100, 'cosine', 0.8, 340],
  ] as const)(
    'static: %s is close to its input and runs on integers',
    async (name, shape, scale, measure, least, kernels) => {
      const { model, facts } = await quantized(
        await loadModel(sharedModel(name)),
        { scheme: 'static' },
        samplesOf(shape, shape[1] > 100 ? 2 : 8, scale),
      )
      expect(number(facts.summary, measure)).toBeGreaterThanOrEqual(least)
      expect(number(facts.summary, 'samples:')).toBeGreaterThanOrEqual(kernels)
      expect(serializeModel(model).length).toBeGreaterThan(1000)
    },
    60_000,
  )

  itWithShared.each([
    'mnist-8-ortweb.onnx',
    'magika-v3_3.onnx',
    'byte-sb-bidi-lstm.onnx',
    'vittrack.onnx',
  ])(
    'dynamic and float16: %s opens in WebAssembly too and stays close',
    async (name) => {
      const float = await loadModel(sharedModel(name))
      for (const [scheme, least] of [
        ['dynamic', 0.98],
        ['float16', 0.99],
      ] as const) {
        const { model, facts } = await quantized(float, { scheme })
        expect(number(facts.summary, 'cosine')).toBeGreaterThan(least)
        await withSession(model, { provider: 'wasm' }, async (session) => {
          expect(session.outputs.length).toBeGreaterThan(0)
        })
      }
    },
    60_000,
  )

  itWithShared('refuses a model that is quantized already', async () => {
    const model = await loadModel(sharedModel('shufflenet-v2-12-int8.onnx'))
    await expect(quantized(model, { scheme: 'float16' })).rejects.toThrow(UserError)
  })
})

/** Read once for all tests. */
let opened: ReturnType<typeof openData> | undefined
const cifar = () => {
  opened ??= openData(
    dataOptions.parse({
      source: 'cifar10',
      train: { limit: 2000 },
      test: { limit: 1000 },
    }),
    {
      seed: 1,
      target: 'class',
      preprocess: preprocessOptions.parse({ mean: 0.5, std: 0.5 }),
      version: 'test',
      calibration: 64,
      cacheFolder: '/nowhere',
      dataFolder: sharedData,
      log: () => undefined,
    },
  )
  return opened
}

describe('ResNet-20 on CIFAR-10', () => {
  itWithShared.each(['minmax', 'entropy'] as const)(
    'keeps its accuracy with ranges by %s',
    async (method) => {
      const { splits } = await cifar()
      const float = await loadModel(sharedModel('conv-distiller-resnet20-dense-cifar10.onnx'))
      const options = { scheme: 'static', calibration: { method, samples: 32 } } as const
      const { model, facts } = await quantized(float, options, splits.calibration)
      expect(facts.summary).toMatch(/33 of 33 operators in 8 bits/)
      expect(serializeModel(model).length).toBeLessThan(300_000)
      const [before, after] = [await classes(float, splits.test), await classes(model, splits.test)]
      const right = (found: readonly number[]) =>
        found.filter((label, index) => label === splits.test.labels[index]).length
      expect(Math.abs(right(after) - right(before))).toBeLessThanOrEqual(10)
      expect(after.filter((label, index) => label === before[index]).length).toBeGreaterThan(970)
    },
    60_000,
  )
})

async function classes(model: Parameters<typeof predict>[0], data: Dataset): Promise<number[]> {
  const { outputs, width } = await predict(model, data)
  return Array.from({ length: data.size }, (_, row) => {
    const scores = outputs.subarray(row * width, (row + 1) * width)
    return scores.indexOf(Math.max(...scores))
  })
}
