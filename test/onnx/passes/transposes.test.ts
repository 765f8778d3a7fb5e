import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { removeDeadNodes } from '../../../onnx/passes/dead-nodes.ts'
import { removeIdentities } from '../../../onnx/passes/identity.ts'
import { moveTransposesIntoWeights } from '../../../onnx/passes/transposed-weights.ts'
import { cancelTransposes } from '../../../onnx/passes/transposes.ts'
import { permuted } from '../../../onnx/permute.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'

const toLast = { perm: [0, 2, 3, 1] }
const toFirst = { perm: [0, 3, 1, 2] }
const dims = [2, 3, 4, 5]

const filled = (shape: readonly number[], seed: string): Tensor => {
  const { normal } = random(1, seed)
  return tensorOf(
    'float32',
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => normal()),
  )
}

/** A model of `[2, 3, 4, 5]`; `write` gives what is transposed back. */
function modelOf(write: (g: Builder, x: Value) => Value): Model {
  const { model, g } = newModel('transposes')
  const x = g.input('x', { dtype: 'float32', shape: dims })
  g.output('y', write(g, x))
  return model
}

const run = (model: Model) =>
  withSession(model, { optimization: 'disabled' }, (session) =>
    session.run({ x: filled(dims, 'x') }),
  )

/** Runs the pass to its end and expects the same outputs; gives the operators that are left. */
async function cancelled(model: Model): Promise<string[]> {
  const copy = cloneModel(model)
  while (cancelTransposes(copy.graph)) removeDeadNodes(copy.graph)
  removeIdentities(copy)
  expect(copy.graph.outputs.map(({ name }) => name)).toEqual(['y'])
  const [before, now] = [await run(model), await run(copy)]
  expect(now.y!.dims).toEqual(before.y!.dims)
  const [a, b] = [before, now].map(({ y }) => elements(y!, 'float32')) as [
    Float32Array,
    Float32Array,
  ]
  for (const [index, value] of a.entries()) expect(b[index]).toBeCloseTo(value, 5)
  return copy.graph.nodes.map(({ opType }) => opType)
}

/** What stands between two transposes that cancel, as seen with channels last. */
const between: readonly [string, (g: Builder, x: Value) => Value][] = [
  ['Relu', (g, x) => g.Relu(x)],
  ['Clip', (g, x) => g.Clip(x, 0, 6)],
  ['a scalar', (g, x) => g.Mul(x, 2)],
  ['a bias by channel', (g, x) => g.Add(x, filled([3], 'bias'))],
  ['a bias by place', (g, x) => g.Add(filled([4, 5, 1], 'bias'), x)],
  ['a whole constant', (g, x) => g.Sub(filled([1, 4, 5, 3], 'bias'), x)],
  ['a slope by channel', (g, x) => g.PRelu(x, filled([3], 'slope'))],
  ['Softmax', (g, x) => g.Softmax(x, { axis: -1 })],
  ['Pad', (g, x) => g.Pad(x, [0, 1, 2, 0, 0, 3, 0, 0])],
  ['Slice', (g, x) => g.Slice(x, [1, 0], [3, 2], [1, -1])],
  ['a reduction that keeps axes', (g, x) => g.ReduceMean(x, [1, 2], { keepdims: 1 })],
  ['a sum with itself', (g, x) => g.Add(g.Relu(x), g.Sigmoid(x))],
  ['Concat', (g, x) => g.Concat(x, g.Neg(x), { axis: 3 })],
  ['Concat with a constant', (g, x) => g.Concat(x, filled([2, 4, 5, 1], 'more'), { axis: -1 })],
]

describe('cancelTransposes', () => {
  it.each(between)('cancels both around %s', async (_, write) => {
    const left = await cancelled(
      modelOf((g, x) => g.Transpose(write(g, g.Transpose(x, toLast)), toFirst)),
    )
    expect(left).not.toContain('Transpose')
  })

  it('needs none before a mean over height and width', async () => {
    const model = modelOf((g, x) => g.ReduceMean(g.Transpose(x, toLast), [1, 2], { keepdims: 0 }))
    expect(await cancelled(model)).toEqual(['ReduceMean'])
  })

  it('keeps what a reduction leaves in another order', async () => {
    const model = modelOf((g, x) => g.ReduceMax(g.Transpose(x, toLast), [1], { keepdims: 0 }))
    expect(await cancelled(model)).toEqual(['ReduceMax', 'Transpose'])
  })

  it('moves one behind a Split to every part', async () => {
    const model = modelOf((g, x) => {
      const options = { attributes: { axis: 3 }, outputs: 2 }
      const [a, b] = g.node('Split', [g.Transpose(x, toLast), [1, 2]], options)
      return g.Transpose(g.Mul(a!, b!), toFirst)
    })
    expect(await cancelled(model)).toEqual(['Split', 'Mul'])
  })

  it('keeps a sum with something that was not transposed', async () => {
    const model = modelOf((g, x) => g.Add(g.Transpose(x, toLast), g.Reshape(x, [2, 4, 5, 3])))
    expect(await cancelled(model)).toContain('Transpose')
  })

  it('reshapes at once where only axes of size 1 move', async () => {
    const model = modelOf((g, x) => {
      const means = g.Reshape(g.ReduceMean(x, [2, 3], { keepdims: 0 }), [0, 1, 1, 3])
      return g.Mul(x, g.Transpose(means, toFirst))
    })
    expect(await cancelled(model)).toEqual(['ReduceMean', 'Reshape', 'Mul'])
  })

  it('does not reshape at once what a transpose really moves', async () => {
    const model = modelOf((g, x) => g.Transpose(g.Reshape(x, [0, 12, 5, 1]), toFirst))
    expect(await cancelled(model)).toEqual(['Reshape'])
    const other = modelOf((g, x) =>
      g.Transpose(g.Reshape(x, [0, 12, 5, 1]), { perm: [0, 2, 1, 3] }),
    )
    expect(await cancelled(other)).toEqual(['Reshape', 'Transpose'])
  })

  it('keeps the names of outputs that were transposes', async () => {
    const model = modelOf((g, x) => g.Transpose(g.Transpose(x, toLast), toFirst))
    expect(await cancelled(model)).toHaveLength(1)
  })
})

describe('moveTransposesIntoWeights', () => {
  it.each([
    ['Gemm', (g: Builder, x: Value) => g.Gemm(x, filled([60, 2], 'w'), filled([2], 'b'))],
    [
      'Gemm with its weights transposed',
      (g: Builder, x: Value) => g.Gemm(x, filled([2, 60], 'w'), { transB: 1 }),
    ],
    ['MatMul', (g: Builder, x: Value) => g.MatMul(x, filled([60, 2], 'w'))],
  ])('reorders the rows of %s', async (_, product) => {
    const model = modelOf((g, x) => {
      const last = g.Transpose(x, toLast)
      last.type = { dtype: 'float32', shape: ['N', 4, 5, 3] }
      return product(g, g.Reshape(last, [-1, 60]))
    })
    const copy = cloneModel(model)
    expect(moveTransposesIntoWeights(copy.graph)).toBe(true)
    removeDeadNodes(copy.graph)
    expect(copy.graph.nodes.map(({ opType }) => opType)).not.toContain('Transpose')
    const [before, now] = [await run(model), await run(copy)]
    const [a, b] = [before, now].map(({ y }) => elements(y!, 'float32')) as [
      Float32Array,
      Float32Array,
    ]
    for (const [index, value] of a.entries()) expect(b[index]).toBeCloseTo(value, 4)
  })

  it('leaves a flattening that others read too', () => {
    const model = modelOf((g, x) => {
      const last = g.Transpose(x, toLast)
      last.type = { dtype: 'float32', shape: ['N', 4, 5, 3] }
      const flat = g.Reshape(last, [-1, 60])
      return g.Concat(g.MatMul(flat, filled([60, 2], 'w')), flat, { axis: 1 })
    })
    expect(moveTransposesIntoWeights(model.graph)).toBe(false)
  })
})

describe('permuted', () => {
  it('moves the elements of any width', () => {
    const whole = permuted(tensorOf('int64', [2, 3], [1, 2, 3, 4, 5, 6]), [1, 0])
    expect(whole.dims).toEqual([3, 2])
    expect(Array.from(elements(whole, 'int64'), Number)).toEqual([1, 4, 2, 5, 3, 6])
    const bytes = permuted(tensorOf('uint8', [1, 2, 2], [1, 2, 3, 4]), [2, 1, 0])
    expect(Array.from(bytes.bytes)).toEqual([1, 3, 2, 4])
  })
})
