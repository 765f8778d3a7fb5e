// Narrower copies of models: they run, keep the interface, and keep what matters most.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { shrinkModel, shrinkOptions } from '../../models/shrink.ts'
import { openSource, studentSource } from '../../models/source.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, numbers, tensorOf } from '../../onnx/tensor.ts'
import { itWithShared } from '../support/shared.ts'
import { feedsFor, interfaceOf, outputsOf } from './derived.ts'
import { text } from './examples.ts'
import { expectSmaller } from './shrunk.ts'

const shrunk = (
  teacher: Model,
  options: object,
  { log, inputs = [] }: { log?: (line: string) => void; inputs?: ReturnType<typeof text> } = {},
): Promise<Model> =>
  shrinkModel(shrinkOptions.parse(options), { teacher, seed: 1, inputs, outputs: 1, log })

const weightsOf = (model: Model, name: string): number[] => {
  const value = [...model.graph.initializers].find((one) => one.name === name)
  return numbers(value!.tensor!)
}

const dimsOf = (model: Model, name: string): readonly number[] =>
  [...model.graph.initializers].find((one) => one.name === name)!.tensor!.dims

const resnet = buildArchitecture(
  { architecture: 'resnet', depth: 8 },
  { ...oneInput([3, 16, 16], 10), seed: 1 },
)

describe('shrinking', () => {
  it('keeps the channels with the largest L2 norm over all their weights', async () => {
    const { model, g } = newModel('two')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
    // Rows make the 4 hidden channels, columns take them. The norms are √(1+81), √(4+4), √(25+25), √(9+0).
    const made = g.constant(tensorOf('float32', [4, 2], [1, 0, 0, 2, 3, 4, 0, 3]), 'made')
    const taken = g.constant(tensorOf('float32', [1, 4], [9, 2, 5, 0]), 'taken')
    const hidden = g.Relu(g.Gemm(x, made, { transB: 1 }))
    g.output('y', g.Gemm(hidden, taken, { transB: 1 }), { dtype: 'float32', shape: ['N', 1] })
    const half = await shrunk(model, { shrink: 0.5 })
    expect(weightsOf(half, 'made')).toEqual([1, 0, 3, 4])
    expect(weightsOf(half, 'taken')).toEqual([9, 5])
    expect(dimsOf(model, 'made')).toEqual([4, 2])
  })

  it.each([
    [0.5, 1, 8],
    [0.3, 1, 4],
    [0.3, 8, 8],
    [0.99, 1, 15],
    [0.01, 1, 1],
    [0.01, 4, 4],
  ])('leaves of 16 channels at %d, in multiples of %i, %i', async (shrink, round, left) => {
    expect(dimsOf(await shrunk(resnet, { shrink, round }), 'stem.weight')[0]).toBe(left)
  })

  it('draws fresh weights by the fan-in of what is left, and leaves the structure alone', async () => {
    const teacher = buildArchitecture(
      { architecture: 'resnet', depth: 8, width: 32 },
      { ...oneInput([3, 16, 16], 10), seed: 1 },
    )
    const lines: string[] = []
    const fresh = await shrunk(
      teacher,
      { shrink: 0.5, weights: 'fresh' },
      { log: (l) => lines.push(l) },
    )
    const same = await shrunk(teacher, { shrink: 0.5 })
    expect([...fresh.graph.initializers].map(({ name, tensor }) => [name, tensor!.dims])).toEqual(
      [...same.graph.initializers].map(({ name, tensor }) => [name, tensor!.dims]),
    )
    const filter = elements(
      [...fresh.graph.initializers].find(({ name }) => name === 'block3.conv2.weight')!.tensor!,
      'float32',
    )
    // He et al. 2015, equation 10: variance 2 over 64 channels of 3 x 3, within five standard errors.
    const variance = filter.reduce((sum, value) => sum + value ** 2, 0) / filter.length
    expect(variance / (2 / (64 * 9))).toBeGreaterThan(1 - 5 * Math.sqrt(2 / filter.length))
    expect(variance / (2 / (64 * 9))).toBeLessThan(1 + 5 * Math.sqrt(2 / filter.length))
    for (const [part, value] of [
      ['scale', 1],
      ['bias', 0],
      ['mean', 0],
      ['var', 1],
    ] as const)
      expect(new Set(weightsOf(fresh, `block3.conv2.norm.${part}`))).toEqual(new Set([value]))
    const again = await shrunk(teacher, { shrink: 0.5, weights: 'fresh' })
    expect(Buffer.compare(serializeModel(again), serializeModel(fresh))).toBe(0)
    expect(lines).toEqual([
      "narrowed 6 of 7 groups of channels; kept their width: 'classifier': output 'logits' of the model keeps its shape",
    ])
  })

  it('says so where nothing can be narrowed', async () => {
    const { model, g } = newModel('one')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
    const weight = tensorOf('float32', [2, 3], new Float32Array(6))
    g.output('y', g.MatMul(x, weight), { dtype: 'float32', shape: ['N', 3] })
    await expect(shrunk(model, { shrink: 0.5 })).rejects.toThrow(UserError)
    await expect(shrunk(model, { shrink: 0.5 })).rejects.toThrow(
      /^student: { shrink: 0.5 }: no channels of the teacher can be cut: '[^']+': output 'y' of the model keeps its shape — name an architecture instead$/,
    )
  })

  it('says so where rounding leaves all channels', async () => {
    await expect(shrunk(resnet, { shrink: 0.99, round: 64 })).rejects.toThrow(
      "student: { shrink: 0.99 }: every group of the teacher's channels keeps its width: at most 64 channels, in multiples of 64 — lower 'round' or 'shrink'",
    )
  })

  it.each([
    ['bert', { architecture: 'bert', layers: 2, hidden: 16, heads: 2, intermediate: 32 }],
    [
      'bert, pre-norm',
      { architecture: 'bert', layers: 2, hidden: 16, intermediate: 32, norm: 'pre' },
    ],
  ] as const)('narrows the inner layers of %s', async (_, options) => {
    const inputs = text(6, 20)
    const teacher = buildArchitecture(options, { inputs, outputs: 3, seed: 1 })
    const half = await shrunk(teacher, { shrink: 0.5 }, { inputs })
    expect(countParameters(half).parameters).toBeLessThan(countParameters(teacher).parameters)
    expect(interfaceOf(half)).toEqual(interfaceOf(teacher))
    expect((await outputsOf(half, feedsFor(half))).logits!.dims).toEqual([2, 3])
  })
})

describe('shrinking real models', () => {
  itWithShared.each([
    'conv-distiller-resnet20-dense-cifar10',
    'conv-tiny-resnet8-cifar10',
    'conv-tiny-vww96-mobilenet025',
    'mnist-8-ortweb',
    'keras-tract-example',
    'vit-ibp-3-3-8-cifar10',
    'optimum-test-asset',
  ])('%s becomes smaller with the same inputs and outputs', expectSmaller)
})

describe('a student that is a copy of the teacher', () => {
  const build = { ...oneInput([3, 16, 16], 10), seed: 1 }

  it('is built from the teacher that it is given', async () => {
    const source = studentSource.parse({ shrink: 0.5 })
    expect(source).toEqual({ shrink: 0.5, weights: 'teacher', round: 1, of: 'teacher' })
    const student = await openSource(source, { ...build, teacher: resnet })
    expect(dimsOf(student, 'stem.weight')).toEqual([8, 3, 3, 3])
    const layers = studentSource.parse({ layers: 'every 2nd' })
    const deeper = buildArchitecture({ architecture: 'resnet', depth: 20 }, build)
    const shallow = await openSource(layers, { ...build, teacher: deeper })
    expect(countParameters(shallow).parameters).toBeLessThan(countParameters(deeper).parameters)
  })

  it('is refused where there is none', async () => {
    await expect(openSource(studentSource.parse({ shrink: 0.5 }), build)).rejects.toThrow(
      /^a model that is a smaller copy of the teacher: there is no teacher: {"shrink":0.5,.*} — name a file or an architecture$/,
    )
  })

  it.each([
    { shrink: 0 },
    { shrink: 1 },
    { shrink: 0.5, weights: 'old' },
    { shrink: 0.5, round: 0 },
    { shrink: 0.5, of: 'student' },
    { layers: 'every 4th' },
    { layers: 'first 0' },
    { layers: [] },
    { layers: [0] },
  ])('is refused with options that mean nothing: %j', (options) => {
    expect(studentSource.safeParse(options).success).toBe(false)
  })
})
