import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import { newModel } from '../../../../onnx/build.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { loadModel, parseModel } from '../../../../onnx/load.ts'
import { packedOf, storedBytes } from '../../../../onnx/packed.ts'
import { serializeModel } from '../../../../onnx/save.ts'
import { elements, type Tensor, tensorOf } from '../../../../onnx/tensor.ts'
import { withSession } from '../../../../runtime/session.ts'
import { quantize } from '../../../../stages/quantize/index.ts'
import {
  centroidsOf,
  nearestOf,
  type StartName,
} from '../../../../stages/quantize/weights/k-means.ts'
import { itWithShared, sharedModel } from '../../../support/shared.ts'
import { quantized, weights } from '../support.ts'

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

/** A network of two layers, with this share of weights other than zero. */
function network(share: number): Model {
  const { model, g } = newModel('net', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['N', 8, 6, 6] })
  const holey = (tensor: Tensor, label: string) => {
    const { uniform } = random(4, label)
    const values = elements(tensor, 'float32').map((value) => (uniform() < share ? value : 0))
    return tensorOf('float32', tensor.dims, values)
  }
  const conv = g.Conv(x, holey(weights([24, 8, 3, 3], 'a'), 'a'), weights([24], 'ab'))
  const hidden = g.Gemm(
    g.Flatten(g.Relu(conv)),
    holey(weights([384, 160], 'b'), 'b'),
    weights([160], 'bb'),
  )
  g.output('y', g.MatMul(g.Relu(hidden), holey(weights([160, 40], 'c'), 'c')), { dtype: 'float32' })
  return model
}

const weightsOf = ({ graph }: Model): Tensor[] =>
  [...graph.initializers].flatMap(({ tensor }) => (tensor!.dims.length > 1 ? [tensor!] : []))

/** What ONNX Runtime answers, bit for bit. */
const answer = (model: Uint8Array, provider: 'cpu' | 'wasm') =>
  withSession(model, { provider }, async (session) => {
    const { y } = await session.run({ x: weights([1, 8, 6, 6], 'x') })
    return Buffer.from(y!.bytes)
  })

/** Expects that the file is what the model is: for us, and for ONNX Runtime, which knows nothing of it. */
async function expectSame(model: Model): Promise<number> {
  const bytes = serializeModel(model)
  const again = parseModel(bytes)
  const byName = new Map([...again.graph.initializers].map(({ name, tensor }) => [name, tensor!]))
  for (const { name, tensor } of model.graph.initializers)
    expect(Buffer.compare(byName.get(name)!.bytes, tensor!.bytes)).toBe(0)
  expect(Buffer.compare(serializeModel(again), bytes)).toBe(0)
  const dense = serializeModel(model, { dense: true })
  for (const provider of ['cpu', 'wasm'] as const)
    expect(Buffer.compare(await answer(bytes, provider), await answer(dense, provider))).toBe(0)
  return bytes.length
}

describe('clusters', () => {
  it.each([
    [1, 'tensor', 4, 16, 0.15],
    [1, 'tensor', 2, 4, 0.09],
    [1, 'channel', 2, 4, 0.12],
    [0.08, 'tensor', 4, 16, 0.055],
    [0.4, 'channel', 3, 8, 0.2],
  ] as const)(
    'of %d of the weights, shared by %s, of %d bits: few values, small files, the same answers',
    async (share, shared, bits, values, most) => {
      const float = network(share)
      const { model, facts } = await quantized(float, { scheme: 'clusters', bits, shared })
      expect(facts.summary).toMatch(new RegExp(`^clusters, ${bits} bits a ${shared}: 3 weights in`))
      const before = weightsOf(float).map((tensor) => elements(tensor, 'float32'))
      for (const [index, tensor] of weightsOf(model).entries()) {
        const found = elements(tensor, 'float32')
        expect(before[index]!.every((value, at) => (found[at] === 0) === (value === 0))).toBe(true)
        if (shared === 'tensor') expect(new Set(found).size).toBeLessThanOrEqual(values)
        else if (tensor.dims.length === 4)
          for (let channel = 0; channel < 24; channel++)
            expect(
              new Set(found.subarray(channel * 72, (channel + 1) * 72)).size,
            ).toBeLessThanOrEqual(values)
      }
      expect((await expectSame(model)) / serializeModel(float).length).toBeLessThan(most)
    },
    30_000,
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

  itWithShared.each(['ternary', 'binary', 'clusters'] as const)(
    '%s goes through a real model',
    async (scheme) => {
      const float = await loadModel(sharedModel('conv-tiny-resnet8-cifar10.onnx'))
      const { model, facts } = await quantized(float, { scheme, exclude: ['op:Gemm'] })
      expect(facts.summary).toMatch(/9 weights in \d/)
      const share = serializeModel(model).length / serializeModel(float).length
      expect(share).toBeLessThan(scheme === 'clusters' ? 0.25 : 0.2)
    },
    60_000,
  )
})
