// Networks for clusters and few levels, and what must come of them.
import { expect } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import { newModel } from '../../../../onnx/build.ts'
import type { Model } from '../../../../onnx/graph.ts'
import { loadModel, parseModel } from '../../../../onnx/load.ts'
import { serializeModel } from '../../../../onnx/save.ts'
import { elements, type Tensor, tensorOf } from '../../../../onnx/tensor.ts'
import { withSession } from '../../../../runtime/session.ts'
import { sharedModel } from '../../../support/shared.ts'
import { quantized, weights } from '../support.ts'

/** A network of two layers, with this share of weights other than zero. */
export function network(share: number): Model {
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

/** Its weights that are no vectors. */
export const weightsOf = ({ graph }: Model): Tensor[] =>
  [...graph.initializers].flatMap(({ tensor }) => (tensor!.dims.length > 1 ? [tensor!] : []))

/** What ONNX Runtime answers, bit for bit. */
const answer = (model: Uint8Array, provider: 'cpu' | 'wasm') =>
  withSession(model, { provider }, async (session) => {
    const { y } = await session.run({ x: weights([1, 8, 6, 6], 'x') })
    return Buffer.from(y!.bytes)
  })

/** Expects that the file is what the model is: for us, and for ONNX Runtime, which knows nothing of it. */
export async function expectSame(model: Model): Promise<number> {
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

/** The share of weights, who shares values, bits, the most values, and the most of the float file's size. */
type Row = readonly [number, 'tensor' | 'channel', number, number, number]

/** Rows of {@link expectClusters}: a dense one of each kind and a sparse one, and further ones. */
export const clusterRows = {
  quick: [
    [1, 'tensor', 2, 4, 0.09],
    [1, 'channel', 2, 4, 0.12],
    [0.08, 'tensor', 4, 16, 0.055],
  ],
  slow: [
    [1, 'tensor', 4, 16, 0.15],
    [0.4, 'channel', 3, 8, 0.2],
  ],
} satisfies Record<string, readonly Row[]>

/** Expects few values, zeros where they were, a small file and the same answers. */
export async function expectClusters([share, shared, bits, values, most]: Row): Promise<void> {
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
        expect(new Set(found.subarray(channel * 72, (channel + 1) * 72)).size).toBeLessThanOrEqual(
          values,
        )
  }
  expect((await expectSame(model)) / serializeModel(float).length).toBeLessThan(most)
}

/** Expects a real model to become as small as it should. */
export async function expectRealModel(scheme: 'ternary' | 'binary' | 'clusters'): Promise<void> {
  const float = await loadModel(sharedModel('conv-tiny-resnet8-cifar10.onnx'))
  const { model, facts } = await quantized(float, { scheme, exclude: ['op:Gemm'] })
  expect(facts.summary).toMatch(/9 weights in \d/)
  const share = serializeModel(model).length / serializeModel(float).length
  expect(share).toBeLessThan(scheme === 'clusters' ? 0.25 : 0.2)
}
