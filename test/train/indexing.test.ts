// What the table of cases cannot say: indices that are known only when the graph runs.
import { describe, expect, it } from '@jest/globals'
import { type Attributes, newModel } from '../../onnx/build.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { decompose } from '../../train/decompose.ts'
import { standard } from '../../train/lowerings/standard.ts'

interface IndexCase {
  readonly opType: string
  readonly dims: readonly number[]
  readonly indexDims: readonly number[]
  readonly indices: readonly number[]
  /** The shape of the updates of an operator that scatters. */
  readonly updates?: readonly number[]
  readonly attributes?: Attributes
}

/** The gradients of Σ sin(k)·yₖ, with the indices as a constant or as an input. */
async function gradientsOf(
  { opType, dims, indexDims, indices, updates, attributes = {} }: IndexCase,
  isConstant: boolean,
): Promise<number[][]> {
  const { model, g } = newModel('indexing')
  const sines = (shape: readonly number[]) =>
    tensorOf(
      'float32',
      shape,
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => Math.sin(index + 1)),
    )
  const places = tensorOf('int64', indexDims, indices)
  const wanted = [dims, ...(updates ? [updates] : [])].map((shape, index) =>
    g.constant(sines(shape), `x${index}`),
  )
  const place = isConstant
    ? g.constant(places)
    : g.input('indices', { dtype: 'int64', shape: indexDims })
  const [y] = g.node(opType, [wanted[0], place, wanted[1]].slice(0, updates ? 3 : 2), {
    attributes,
  })
  g.graph.outputs.push(y!)
  await inferShapes(model)
  const shape = y!.type!.shape as readonly number[]
  const loss = g.ReduceSum(g.Mul(g.Mul(y, y), sines(shape)), { keepdims: 0 })
  g.graph.outputs.push(loss)
  await inferShapes(model)
  await decompose(model)
  const found = backward(g, loss, new Set(wanted), standard)
  for (const [index, value] of wanted.entries()) g.output(`gradient${index}`, found.get(value)!)
  const results = await withSession(model, {}, (session) =>
    session.run(isConstant ? {} : { indices: places }),
  )
  return wanted.map((_, index) => numbers(results[`gradient${index}`]!))
}

describe('indices that are known only when the graph runs', () => {
  it.each<IndexCase>([
    { opType: 'Gather', dims: [5, 3], indexDims: [2, 2], indices: [4, 0, -2, 1] },
    { opType: 'Gather', dims: [2, 4], indexDims: [], indices: [-1], attributes: { axis: 1 } },
    { opType: 'GatherND', dims: [3, 4, 2], indexDims: [3, 2], indices: [0, 1, -1, 3, 2, -4] },
    { opType: 'GatherND', dims: [3, 4], indexDims: [2, 1], indices: [-1, 0] },
    {
      opType: 'GatherND',
      dims: [2, 3, 4],
      indexDims: [2, 2, 2],
      indices: [1, 0, 1, 0, 2, -1, 0, 3],
      attributes: { batch_dims: 1 },
    },
    {
      opType: 'ScatterND',
      dims: [3, 4, 2],
      indexDims: [3, 2],
      indices: [0, 1, -1, 3, 0, 1],
      updates: [3, 2],
      attributes: { reduction: 'add' },
    },
  ])(
    'give the gradients that constant ones give: $opType of $dims at $indexDims',
    async (entry) => {
      const [constant, fed] = [await gradientsOf(entry, true), await gradientsOf(entry, false)]
      for (const [index, gradient] of constant.entries())
        for (const [place, value] of gradient.entries())
          expect(fed[index]![place]).toBeCloseTo(value, 5)
    },
  )
})
