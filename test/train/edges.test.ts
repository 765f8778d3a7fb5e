// Gradients where the formulas have no single answer: equal elements, zeros, and forms that are refused.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { type Attributes, type Builder, newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { decompose } from '../../train/decompose.ts'
import { standard } from '../../train/lowerings/standard.ts'

const weight = (g: Builder, dims: readonly number[], ...values: number[]): Value =>
  g.constant(tensorOf('float32', dims, values), 'weight')

/** The gradient of the sum of what is written by a weight. */
async function gradientOf(
  dims: readonly number[],
  values: readonly number[],
  write: (g: Builder, x: Value) => Value,
): Promise<number[]> {
  const { model, g } = newModel('edge')
  const x = weight(g, dims, ...values)
  const loss = g.ReduceSum(write(g, x), { keepdims: 0 })
  g.graph.outputs.push(loss)
  await inferShapes(model)
  await decompose(model)
  const found = backward(g, loss, new Set([x]), standard)
  g.output('gradient', found.get(x)!)
  const results = await withSession(model, {}, (session) => session.run({}))
  return numbers(results.gradient!)
}

describe('a gradient', () => {
  it.each<[string, number[], (g: Builder, x: Value) => Value, number[]]>([
    ['Max', [1, -2, 3], (g, x) => g.Max(x, weight(g, [3], 1, 5, 0)), [0.5, 0, 1]],
    ['Min', [1, -2, 3], (g, x) => g.Min(x, weight(g, [3], 1, 5, 0)), [0.5, 1, 0]],
    ['ReduceMax', [4, 1, 4], (g, x) => g.ReduceMax(x), [0.5, 0, 0.5]],
    ['ReduceMin', [4, 1, 1], (g, x) => g.ReduceMin(x), [0, 0.5, 0.5]],
  ])('of %s is shared by equal elements', async (_, values, write, expected) => {
    expect(await gradientOf([values.length], values, write)).toEqual(expected)
  })

  it.each<[string, (g: Builder, x: Value) => Value]>([
    ['Abs', (g, x) => g.Abs(x)],
    ['ReduceL1', (g, x) => g.ReduceL1(x, [1])],
    ['ReduceL2', (g, x) => g.ReduceL2(x, [1])],
    ['LpNormalization', (g, x) => g.node('LpNormalization', [x])[0]!],
    [
      'MeanVarianceNormalization',
      (g, x) => g.node('MeanVarianceNormalization', [x], { attributes: { axes: [1] } })[0]!,
    ],
  ])('of %s is finite at 0', async (_, write) => {
    const gradient = await gradientOf([1, 3], [0, 0, 0], write)
    // MeanVarianceNormalization divides by 10⁻⁹ here, as ONNX defines it.
    expect(gradient.every((each) => Math.abs(each) < 1e3)).toBe(true)
  })

  it('of ReduceProd is the product of the others where one factor is 0', async () => {
    expect(await gradientOf([3], [0, 2, 5], (g, x) => g.ReduceProd(x))).toEqual([10, 0, 0])
    expect(await gradientOf([3], [0, 0, 5], (g, x) => g.ReduceProd(x))).toEqual([0, 0, 0])
  })
})

describe('decompose', () => {
  const x = (g: Builder, ...dims: number[]) => g.input('x', { dtype: 'float32', shape: dims })
  const heads: Attributes = { num_heads: 2 }

  it.each<[string, (g: Builder) => Value, string]>([
    [
      'MultiHeadAttention with a mask of lengths',
      (g) => {
        const q = x(g, 2, 3, 4)
        const lengths = tensorOf('int32', [2], Int32Array.from([2, 3]))
        return g.node('MultiHeadAttention', [q, q, q, undefined, lengths], {
          domain: 'com.microsoft',
          name: 'attention',
          attributes: heads,
        })[0]!
      },
      "model: no gradient for MultiHeadAttention 'attention' with a mask of lengths — export the model with attention written out",
    ],
    [
      'FusedMatMul of turned batches',
      (g) => {
        const a = x(g, 3, 3, 3)
        return g.node('FusedMatMul', [a, a], {
          domain: 'com.microsoft',
          name: 'product',
          attributes: { transBatchA: 1, transBatchB: 1 },
        })[0]!
      },
      "model: no gradient for FusedMatMul 'product' with transBatchA or transBatchB — export the model without ONNX Runtime's optimizations",
    ],
  ])('refuses %s', async (_, write, message) => {
    const { model, g } = newModel('refused')
    model.opsets.set('com.microsoft', 1)
    g.graph.outputs.push(write(g))
    await inferShapes(model)
    await expect(decompose(model)).rejects.toThrow(new UserError(message))
  })
})
