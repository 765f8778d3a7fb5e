// baked(raw) = model(arrange(preprocess(raw))), on real models and on small ones of every form.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import {
  arrange,
  type Preprocessing,
  preprocess,
  preprocessing,
  preprocessOptions,
} from '../../data/preprocess.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { dataTypes, numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { type BakeDetails, bake, bakeDetails, bakeOptions } from '../../stages/bake.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

type Given = Parameters<typeof preprocessOptions.parse>[0]
const ready = (from: readonly number[], given: Given, stored?: Preprocessing['stored']) =>
  preprocessing(from, preprocessOptions.parse(given), stored)

const sizeOf = (shape: readonly number[]) => shape.reduce((size, dim) => size * dim, 1)

/** Seeded samples in planes, as they are stored. */
function stored({ from, stored }: Preprocessing, count: number) {
  const { uniform } = random(1, 'bake')
  const length = count * sizeOf(from)
  return stored === 'uint8'
    ? Uint8Array.from({ length }, () => Math.floor(uniform() * 256))
    : Float32Array.from({ length }, () => uniform() * 4 - 2)
}

/** What the model takes, made outside of it. */
function prepared(facts: Preprocessing, samples: Uint8Array | Float32Array, count: number) {
  const size = sizeOf(facts.to)
  const planar = new Float32Array(count * size)
  for (let index = 0; index < count; index++)
    preprocess(facts, samples, index * sizeOf(facts.from), planar, index * size)
  const into = new Float32Array(planar.length)
  arrange(facts, planar, count, into)
  return into
}

/** What the baked model takes: the samples as they are stored, in its layout. */
function raw(
  { from }: Preprocessing,
  samples: Uint8Array | Float32Array,
  count: number,
  { layout = 'nhwc', dtype }: BakeDetails,
): Tensor {
  const isTurned = from.length === 3 && layout === 'nhwc'
  const values = isTurned ? samples.slice() : samples
  // The compiler cannot tell that both arrays are of one type.
  if (isTurned)
    arrange(
      { to: from, layout, colour: 'rgb' },
      samples as Float32Array,
      count,
      values as Float32Array,
    )
  const [channels, ...edges] = from
  const shape = isTurned ? [...edges, channels!] : from
  const type = dtype ?? (samples instanceof Uint8Array ? 'uint8' : 'float32')
  const typed = type === 'float32' ? Float32Array.from(values) : Uint8Array.from(values)
  return tensorOf(type, [count, ...shape], typed)
}

const run = (model: Model, feeds: Record<string, Tensor>) =>
  withSession(model, {}, (session) => session.run(feeds))

/** Expects the same outputs of the model and of the baked one, within a share of the largest. */
async function expectSame(
  model: Model,
  facts: Preprocessing,
  details: BakeDetails = {},
  { count = 2, dims = facts.shape, tolerance = 1e-6 } = {},
) {
  const [input] = model.graph.feeds
  const name = input!.name
  const samples = stored(facts, count)
  const before = serializeModel(model)
  const baked = parseModel(serializeModel(bake(model, name, facts, details)))
  expect(Buffer.compare(serializeModel(model), before)).toBe(0)
  const type = input!.type!.dtype as 'float32' | 'float64'
  const wanted = prepared(facts, samples, count)
  const values = type === 'float64' ? Float64Array.from(wanted) : wanted
  const expected = await run(model, { [name]: tensorOf(type, [count, ...dims], values) })
  const actual = await run(baked, { [name]: raw(facts, samples, count, details) })
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [output, tensor] of Object.entries(expected)) {
    const right = numbers(tensor)
    const found = numbers(actual[output]!)
    expect(actual[output]!.dims).toEqual(tensor.dims)
    const largest = right.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3)
    const apart = right.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at]!)), 0)
    expect(apart / largest).toBeLessThanOrEqual(tolerance)
  }
  return baked
}

/** A model that gives its input back, squared. */
function square(
  shape: readonly (number | string)[],
  dtype: 'float32' | 'float64' = 'float32',
  opset = 17,
) {
  const { model, g } = newModel('square', opset)
  const x = g.input('x', { dtype, shape: ['N', ...shape] })
  g.output('y', g.Mul(x, x), { dtype, shape: ['N', ...shape] })
  return model
}

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

describe('bake', () => {
  itWithShared.each<[string, readonly number[], Given, number]>([
    ['conv-tiny-resnet8-cifar10.onnx', [3, 32, 32], { scale: 1 }, 4],
    ['conv-tiny-resnet8-cifar10.onnx', [3, 28, 30], { ...imagenet, scale: 0.02, colour: 'bgr' }, 0],
    ['conv-distiller-resnet20-dense-cifar10.onnx', [3, 32, 32], { mean: 0.5, std: 0.5 }, 4],
    [
      'vit-ibp-3-3-8-cifar10.onnx',
      [3, 32, 32],
      { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
      2,
    ],
    ['mnist-8-ortweb.onnx', [1, 28, 28], { scale: 1 }, 1],
    ['mnist-burn-a.onnx', [1, 28, 28], { mean: 0.1307, std: 0.3081 }, 1],
    ['mnist-burn-a.onnx', [1, 24, 24], { mean: 0.1307, std: 0.3081, pad: 2 }, 1],
  ])('gives %s what preprocessing of %j by %j would', async (file, from, given, count) => {
    const model = await loadModel(sharedModel(file))
    if (count === 0) {
      // Images that the model does not take.
      expect(() => bake(model, 'input', ready(from, given))).toThrow(/takes other samples/)
      return
    }
    for (const details of [{}, { layout: 'nchw' }, { dtype: 'float32' }] as const)
      await expectSame(model, ready(from, given), details, { count })
  })

  it.each<[string, Given]>([
    ['nothing at all', { scale: 1 }],
    ['scale', {}],
    ['mean', { scale: 1, mean: [1, 2, 3] }],
    ['mean and std', imagenet],
    ['the order of colours', { ...imagenet, colour: 'bgr' }],
    ['a border', { ...imagenet, pad: 2 }],
    ['another layout', { ...imagenet, layout: 'nhwc' }],
    ['all of it', { ...imagenet, layout: 'nhwc', colour: 'bgr', pad: 1 }],
  ])('does %s, whatever the layouts and types', async (_, given) => {
    for (const opset of [8, 17])
      for (const layout of ['nhwc', 'nchw'] as const)
        for (const dtype of ['uint8', 'float32'] as const) {
          const facts = ready([3, 4, 5], given)
          const baked = await expectSame(square(facts.shape, 'float32', opset), facts, {
            layout,
            dtype,
          })
          expect(baked.graph.inputs.map(({ name, type }) => [name, type])).toEqual([
            ['x', { dtype, shape: ['N', ...(layout === 'nhwc' ? [4, 5, 3] : [3, 4, 5])] }],
          ])
        }
  })

  it('folds scale, mean and std to one multiplication and one addition', () => {
    const facts = ready([3, 4, 4], imagenet)
    const baked = bake(square([3, 4, 4]), 'x', facts)
    expect(baked.graph.nodes.map(({ opType }) => opType)).toEqual([
      'Cast',
      'Mul',
      'Add',
      'Transpose',
      'Mul',
    ])
  })

  it('works for samples that are no images, for floats, for other floats, and axes of length 1', async () => {
    await expectSame(square([7]), ready([7], { mean: 3, std: 2 }, 'float32'))
    await expectSame(square([7]), ready([7], {}))
    await expectSame(square([3, 4, 4]), ready([3, 4, 4], imagenet, 'float32'))
    await expectSame(square([3, 4, 4], 'float64'), ready([3, 4, 4], imagenet))
    await expectSame(square([4, 4]), ready([1, 4, 4], {}), {}, { dims: [4, 4] })
    await expectSame(square(['C', 'H', 'W']), ready([3, 4, 4], imagenet))
  })

  it('gives float16 to a model that takes it', async () => {
    const { model, g } = newModel('half')
    const x = g.input('x', { dtype: 'float16', shape: ['N', 1, 2, 2] })
    g.output('y', g.Cast(x, { to: dataTypes.float32.code }), {
      dtype: 'float32',
      shape: ['N', 1, 2, 2],
    })
    const baked = bake(model, 'x', ready([1, 2, 2], { scale: 0.5 }))
    const { y } = await run(baked, { x: tensorOf('uint8', [1, 2, 2, 1], [0, 1, 2, 255]) })
    expect(numbers(y!)).toEqual([0, 0.5, 1, 127.5])
  })

  it('reaches every user of the input, outputs and subgraphs among them, and leaves other inputs alone', async () => {
    const { model, g } = newModel('several')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
    const other = g.input('other', { dtype: 'float32', shape: ['N', 2] })
    g.output('twice', g.Add(x, g.Add(x, other)), { dtype: 'float32', shape: ['N', 2] })
    model.graph.outputs.push(x)
    const baked = bake(model, 'x', ready([2], { scale: 2, mean: 1 }))
    const sample = {
      x: tensorOf('uint8', [1, 2], [0, 3]),
      other: tensorOf('float32', [1, 2], [10, 20]),
    }
    const results = Object.values(await run(baked, sample)).map(numbers)
    expect(results).toEqual([
      [8, 30],
      [-1, 5],
    ])
  })

  it('refuses what it cannot bake', () => {
    const facts = ready([3, 4, 4], {})
    expect(() => bake(square([3, 4, 4]), 'y', facts)).toThrow(
      new UserError("bake: the model has no input of that name: 'y' — it has 'x'"),
    )
    expect(() => bake(square([4, 4, 3]), 'x', facts)).toThrow(
      "bake: input 'x' takes other samples than preprocessing gives: [4, 4, 3], it gives [3, 4, 4] — set preprocess.layout and pad as the model needs them",
    )
    expect(() => bake(square([3, 4, 4], 'float32', 6), 'x', facts)).toThrow(/opset is too old: 6/)
    const { model, g } = newModel('ids')
    g.output('y', g.Identity(g.input('x', { dtype: 'int64', shape: ['N', 3] })))
    expect(() => bake(model, 'x', ready([3], {}))).toThrow("bake: input 'x' takes no floats: int64")
  })

  it('has an option that may be true', () => {
    expect(bakeDetails(bakeOptions.parse(true))).toEqual({})
    expect(bakeDetails(bakeOptions.parse(false))).toBeUndefined()
    expect(bakeDetails(bakeOptions.parse({}))).toEqual({ layout: 'nhwc' })
    expect(bakeOptions.safeParse({ layout: 'nwhc' }).success).toBe(false)
  })
})
