import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { expectSame, outputsOf } from '../support/compare.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

function modelOf(write: (g: Builder, x: Value) => Value, shape: readonly (number | string)[]) {
  const { model, g } = newModel('small')
  const x = g.input('x', { dtype: 'float32', shape })
  g.output('y', write(g, x))
  return model
}

const opTypes = (model: Model): string => model.graph.nodes.map((node) => node.opType).join(' ')
const bytes = (...values: number[]): Tensor => tensorOf('uint8', [values.length], values)

describe('foldConstants', () => {
  it.each<[string, (g: Builder, x: Value) => Value, string]>([
    ['a chain', (g, x) => g.Add(x, g.Neg(g.Exp(tensorOf('float32', [3], [0, 1, 2])))), 'Add'],
    [
      'Constant nodes',
      (g, x) => {
        const attributes = { value: tensorOf('float32', [3], [1, 2, 3]) }
        return g.Add(x, g.Mul(g.node('Constant', [], { attributes })[0], 2))
      },
      'Add',
    ],
    [
      'an operator with several outputs',
      (g, x) => {
        const whole = g.constant(tensorOf('float32', [6], [1, 2, 3, 4, 5, 6]))
        const attributes = { axis: 0, num_outputs: 2 }
        const [first, second] = g.node('Split', [whole], { outputs: 2, attributes })
        return g.Mul(g.Add(x, first), second)
      },
      'Add Mul',
    ],
    [
      'QuantizeLinear but not DequantizeLinear',
      (g, x) => {
        const quantized = g.QuantizeLinear(tensorOf('float32', [3], [1, 2, 3]), 0.5, bytes(0))
        return g.Add(x, g.DequantizeLinear(quantized, 0.5, bytes(0)))
      },
      'DequantizeLinear Add',
    ],
    [
      'nothing random',
      (g, x) => g.Add(x, g.Mul(g.node('RandomUniform', [], { attributes: { shape: [3] } })[0], 0)),
      'RandomUniform Mul Add',
    ],
    [
      'what would blow up the file not',
      (g, x) =>
        g.Add(x, g.ReduceSum(g.Expand(tensorOf('float32', [], [1e-6]), [1000, 1000]), [0, 1])),
      'Expand ReduceSum Add',
    ],
    ['a small Expand', (g, x) => g.Add(x, g.Expand(tensorOf('float32', [], [2]), [2, 3])), 'Add'],
  ])('folds %s', async (_name, write, left) => {
    const model = modelOf(write, [2, 3])
    const copy = cloneModel(model)
    const changed = await foldConstants(copy)
    expect(opTypes(copy)).toBe(left)
    expect(changed).toBe(opTypes(model) !== left)
    expectSame(await outputsOf(copy, 'small'), await outputsOf(model, 'small'), 1e-6)
    expect(await foldConstants(copy)).toBe(false)
  })

  it('never computes a result of terabytes', async () => {
    const model = modelOf(
      (g, x) => g.Add(x, g.Shape(g.Expand(tensorOf('float32', [], [1]), [2 ** 20, 2 ** 20]))),
      [2],
    )
    expect(await foldConstants(model)).toBe(false)
    expect(opTypes(model)).toBe('Expand Shape Add')
  })

  it('keeps the name of what it folds, and an output as a node', async () => {
    const model = modelOf(
      (g, x) => {
        g.output('fixed', g.Exp(tensorOf('float32', [1], [0])))
        const folded = g.Neg(tensorOf('float32', [3], [1, 2, 3]))
        folded.name = 'negated'
        return g.Add(x, folded)
      },
      [2, 3],
    )
    await foldConstants(model)
    expect(opTypes(model)).toBe('Exp Add')
    const negated = [...model.graph.initializers].find(({ name }) => name === 'negated')
    expect(numbers(negated!.tensor!)).toEqual([-1, -2, -3])
  })

  it('takes shapes for constants once they are known', async () => {
    const write = (g: Builder, x: Value) => {
      const size = g.Gather(g.Shape(x, { start: 1 }), tensorOf('int64', [1], [0]))
      return g.Reshape(x, g.Concat([-1], size, { axis: 0 }))
    }
    const model = modelOf(write, ['N', 3])
    expect(await foldConstants(model)).toBe(false)
    await inferShapes(model, { batch: 4 })
    expect(await foldConstants(model)).toBe(true)
    expect(opTypes(model)).toBe('Reshape')
    expect(numbers(model.graph.nodes[0]!.input(1).tensor!)).toEqual([-1, 3])
  })

  itWithShared('leaves no shape computations in a transformer of fixed shapes', async () => {
    const model = await loadModel(sharedModel('optimum-test-asset.onnx'))
    await inferShapes(model, { batch: 1, dims: { sequence: 8 } })
    await foldConstants(model)
    const left = model.graph.nodes.map((node) => node.opType)
    for (const opType of ['Shape', 'Constant', 'ConstantOfShape', 'Concat'])
      expect(left).not.toContain(opType)
  })
})
