import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import { packedOf, storedBytes } from '../../../../onnx/packed.ts'
import { serializeModel } from '../../../../onnx/save.ts'
import { elements, type Tensor } from '../../../../onnx/tensor.ts'
import { quantize } from '../../../../stages/quantize/index.ts'
import {
  centroidsOf,
  nearestOf,
  type StartName,
} from '../../../../stages/quantize/weights/k-means.ts'
import { itWithShared } from '../../../support/shared.ts'
import { quantized, weights } from '../support.ts'
import {
  clusterRows,
  expectClusters,
  expectRealModel,
  expectSame,
  network,
  weightsOf,
} from './codebook-checks.ts'

const numbersOf = (count: number, label: string) => elements(weights([count], label), 'float32')

const distortion = (values: Float32Array, centroids: Float32Array) =>
  values.reduce((sum, value) => sum + (value - nearestOf(centroids, value)) ** 2, 0)

describe('k-means', () => {
  const values = numbersOf(2000, 'k-means')

  it.each<StartName>(['linear', 'density', 'k-means++'])(
    'from %s: centroids are means of what is nearest to them',
    (start) => {
      const centroids = centroidsOf(values, 8, start, random(1, 'test'))
      expect(centroids.length).toBe(8)
      expect([...centroids]).toEqual([...centroids].sort((a, b) => a - b))
      const groups = new Map<number, number[]>()
      let far = 0
      for (const value of values) {
        const nearest = [...centroids].reduce((best, other) =>
          Math.abs(value - other) < Math.abs(value - best) ? other : best,
        )
        if (Math.abs(value - nearestOf(centroids, value)) !== Math.abs(value - nearest)) far++
        groups.set(nearest, [...(groups.get(nearest) ?? []), value])
      }
      expect(far).toBe(0)
      for (const [centroid, own] of groups)
        expect(own.reduce((sum, value) => sum + value, 0) / own.length).toBeCloseTo(centroid, 5)
      const even = Float32Array.from({ length: 8 }, (_, at) => -1.5 + (3 * at) / 7)
      expect(distortion(values, centroids)).toBeLessThan(distortion(values, even))
    },
  )

  it('keeps numbers of which there are few, and knows none of none', () => {
    const few = Float32Array.of(3, -1, 3, 2, -1)
    expect([...centroidsOf(few, 4, 'linear', random(1, 'test'))]).toEqual([-1, 2, 3])
    expect(centroidsOf(new Float32Array(), 4, 'linear', random(1, 'test'))).toHaveLength(0)
  })
})

describe('clusters', () => {
  it.each(clusterRows.quick)(
    'of %d of the weights, shared by %s, of %d bits: few values, small files, the same answers',
    (...row) => expectClusters(row),
  )

  it('get smaller still in an archive', async () => {
    const float = network(0.08)
    const { model } = await quantized(float, {
      scheme: 'clusters',
      clusters: 7,
      biases: 'clusters',
    })
    const bytes = serializeModel(model)
    expect(serializeModel(float).length / gzipSync(bytes, { level: 9 }).length).toBeGreaterThan(30)
  })

  it('store biases as float16', async () => {
    const float = network(1)
    const { model } = await quantized(float, { scheme: 'clusters', biases: 'float16' })
    const bias = [...model.graph.initializers].find(
      ({ tensor }) => tensor!.dims[0] === 160 && tensor!.dims.length === 1,
    )!
    expect(packedOf(bias.tensor!)?.layout).toBe('whole')
    expect(storedBytes(bias.tensor!)).toBeLessThanOrEqual(320)
    await expectSame(model)
  })

  it('leave excluded layers as they are, and refuse options that exclude each other', async () => {
    const float = network(1)
    const { model } = await quantized(float, { scheme: 'clusters', exclude: ['op:Gemm'] })
    const different = weightsOf(model).map((tensor) => new Set(elements(tensor, 'float32')).size)
    expect(different.filter((count) => count > 16)).toHaveLength(1)
    const both = { stage: 'quantize', scheme: 'clusters', bits: 4, clusters: 8 }
    expect(quantize.options.safeParse(both).error?.issues[0]?.message).toMatch(/without bits/)
    await expect(
      quantized(float, { scheme: 'clusters', exclude: ['op:Conv', 'op:Gemm', 'op:MatMul'] }),
    ).rejects.toThrow(/there is nothing to quantize/)
  })
})

/** The elements of each output channel of a Gemm's `[inputs, outputs]` or a convolution's weight. */
function channels(tensor: Tensor): Float32Array[] {
  const values = elements(tensor, 'float32')
  const [first, second] = tensor.dims as [number, number]
  if (tensor.dims.length > 2)
    return Array.from({ length: first }, (_, at) => values.slice(at * 72, (at + 1) * 72))
  return Array.from({ length: second }, (_, column) =>
    Float32Array.from({ length: first }, (_, row) => values[row * second + column]!),
  )
}

describe('ternary and binary weights', () => {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length

  it.each([
    ['ternary', 0.075, 0.7],
    ['binary', 0.05, 0],
  ] as const)(
    '%s: levels with a scale a channel, as in the paper',
    async (scheme, most, factor) => {
      const float = network(1)
      const { model } = await quantized(float, { scheme })
      const before = weightsOf(float)
      for (const [index, tensor] of weightsOf(model).entries()) {
        const found = channels(tensor)
        for (const [channel, own] of channels(before[index]!).entries()) {
          const sizes = [...own].map(Math.abs)
          const threshold = factor * mean(sizes)
          const scale = mean(sizes.filter((size) => size > threshold))
          const expected = own.map((value) =>
            Math.abs(value) > threshold ? Math.sign(value) * scale : 0,
          )
          expect(expected.every((value, at) => Math.abs(value - found[channel]![at]!) < 1e-5)).toBe(
            true,
          )
          expect(new Set(found[channel]!.map(Math.abs)).size).toBeLessThanOrEqual(
            factor > 0 ? 2 : 1,
          )
        }
        const bits = (8 * (storedBytes(tensor) - 4 * found.length)) / tensor.size
        expect(bits).toBeLessThan(scheme === 'ternary' ? 1.7 : 1.2)
      }
      expect((await expectSame(model)) / serializeModel(float).length).toBeLessThan(most)
    },
  )

  itWithShared('binary goes through a real model', () => expectRealModel('binary'))
})
