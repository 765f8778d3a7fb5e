import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { fixDims, inferShapes, inferTypes } from '../../runtime/shapes.ts'
import { runnableModels } from '../support/compare.ts'
import { sharedIsPresent, sharedModel } from '../support/shared.ts'
import { expectShapes, large } from './real-shapes.ts'

/** x [N, 3] and y [2, N, T] to a sum for each of N. */
function twoInputs(): Model {
  const { model, g } = newModel('two')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  const y = g.input('y', { dtype: 'float32', shape: [2, 'N', undefined] })
  const sums = [g.ReduceSum(x, [1], { keepdims: 0 }), g.ReduceSum(y, [0, 2], { keepdims: 0 })]
  g.output('sum', g.Add(...sums), { dtype: 'float32', shape: ['N'] })
  return model
}

describe('inferTypes', () => {
  it('gives types for a batch and leaves the model as it is', async () => {
    const { model, g } = newModel('mlp')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    const weight = g.constant(tensorOf('float32', [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]), 'weight')
    const hidden = g.MatMul(x, weight)
    const shape = g.Shape(hidden)
    const scalar = g.ReduceSum(hidden, [0, 1], { keepdims: 0 })
    g.output('y', g.Reshape(g.Mul(hidden, scalar), shape), { dtype: 'float32', shape: ['N', 2] })
    const before = serializeModel(model)
    const types = await inferTypes(model, { batch: 5 })
    expect(types.get(x)).toEqual({ dtype: 'float32', shape: [5, 4] })
    expect(types.get(weight)).toEqual({ dtype: 'float32', shape: [4, 2] })
    expect(types.get(hidden)).toEqual({ dtype: 'float32', shape: [5, 2] })
    expect(types.get(shape)).toEqual({ dtype: 'int64', shape: [2] })
    expect(types.get(scalar)).toEqual({ dtype: 'float32', shape: [] })
    expect(types.get(model.graph.outputs[0]!)).toEqual({ dtype: 'float32', shape: [5, 2] })
    expect(Buffer.compare(serializeModel(model), before)).toBe(0)
  })

  it('settles what depends on data with a sample', async () => {
    const { model, g } = newModel('data')
    const x = g.input('x', { dtype: 'float32', shape: [4] })
    const where = g.node('NonZero', [x])[0]!
    g.output('y', where)
    const sample = { x: tensorOf('float32', [4], [0, 1, 0, 2]) }
    expect((await inferTypes(model, { sample })).get(where)).toEqual({
      dtype: 'int64',
      shape: [1, 2],
    })
    expect((await inferTypes(model)).get(where)?.shape).toEqual([1, 0])
  })

  it('knows what large weights say, without or with what they hold', async () => {
    const { model, g } = newModel('large')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 512] })
    const values = Float32Array.from({ length: 512 * 600 }, (_, index) => index % 3)
    const weight = g.constant(tensorOf('float32', [512, 600], values), 'weight')
    const hidden = g.MatMul(x, weight)
    g.output('y', hidden, { dtype: 'float32', shape: ['N', 600] })
    const before = serializeModel(model)
    const types = await inferTypes(model, { batch: 2 })
    expect(types.get(hidden)).toEqual({ dtype: 'float32', shape: [2, 600] })
    expect(types.get(weight)).toEqual({ dtype: 'float32', shape: [512, 600] })
    const free = await inferTypes(model)
    expect(free.get(hidden)).toEqual({ dtype: 'float32', shape: ['N', 600] })
    expect(Buffer.compare(serializeModel(model), before)).toBe(0)
    const places = g.node('NonZero', [weight])[0]!
    g.output('z', places, { dtype: 'int64', shape: [2, undefined] })
    const settled = await inferTypes(model, { batch: 2 })
    expect(settled.get(places)).toEqual({ dtype: 'int64', shape: [2, 204_800] })
  })

  it('leaves open what depends on a free input', async () => {
    const model = twoInputs()
    const types = await inferTypes(model, { batch: 2 })
    expect(types.get(model.graph.inputs[1]!)?.shape).toEqual([2, 2, undefined])
    expect(types.get(model.graph.outputs[0]!)?.shape).toEqual([2])
  })

  it('refuses a model that cannot be opened', async () => {
    const { model, g } = newModel('bad')
    const x = g.input('x', { dtype: 'float32', shape: [2, 3] })
    g.output('y', g.MatMul(x, x))
    await expect(inferTypes(model, { where: 'bad.onnx' })).rejects.toThrow(
      /^bad\.onnx: ONNX Runtime 1\.30 cannot run it: /,
    )
  })
})

describe('fixDims', () => {
  const shapesOf = (model: Model) => model.graph.inputs.map((input) => input.type?.shape)

  it('sets the batch wherever its symbol stands', () => {
    const model = twoInputs()
    fixDims(model, { batch: 7 })
    expect(shapesOf(model)).toEqual([
      [7, 3],
      [2, 7, undefined],
    ])
    expect(model.graph.outputs[0]!.type?.shape).toEqual([7])
  })

  it('sets other dimensions by symbol, or by input and axis', () => {
    const model = twoInputs()
    fixDims(model, { dims: { N: 4, 'y:2': 9 } })
    expect(shapesOf(model)).toEqual([
      [4, 3],
      [2, 4, 9],
    ])
  })

  it('takes a first dimension of 1 for the batch where nothing is free', () => {
    const { model, g } = newModel('one')
    const x = g.input('x', { dtype: 'float32', shape: [1, 3] })
    g.output('y', g.Relu(x), { dtype: 'float32', shape: [1, 3] })
    fixDims(model, { batch: 8 })
    expect(shapesOf(model)).toEqual([[8, 3]])
    expect(model.graph.outputs[0]!.type?.shape).toEqual([8, 3])
  })

  it.each([
    [
      { dims: { M: 4 } },
      "m.onnx: no free dimension of that name: 'M' — did you mean 'N'? known: N, N, y:2",
    ],
    [{ dims: { 'x:1': 4 } }, "m.onnx: no free dimension of that name: 'x:1'"],
  ])('refuses %j', (options, message) => {
    expect(() => fixDims(twoInputs(), options, 'm.onnx')).toThrow(message)
  })

  it('refuses a batch that no input can have', () => {
    const { model, g } = newModel('four')
    g.output('y', g.Relu(g.input('x', { dtype: 'float32', shape: [4, 3] })))
    expect(() => fixDims(model, { batch: 8 }, 'm.onnx')).toThrow(
      new UserError(
        "m.onnx: no input can have a batch of 8: 'x' [4,3] — export it with a free first dimension",
      ),
    )
    expect(() => fixDims(model, { batch: 4 }, 'm.onnx')).not.toThrow()
  })
})

;(sharedIsPresent ? describe : describe.skip)('every real model (needs ../shared)', () => {
  it.each(runnableModels.filter((file) => !large.has(file)))(
    '%s gets the shapes that its values have when it runs',
    expectShapes,
  )
})

;(sharedIsPresent ? describe : describe.skip)('a model exported for one sample', () => {
  it.each(['mnist-8-ortweb.onnx', 'mnist-burn-a.onnx', 'light-shufflenet.onnx'])(
    '%s runs a batch that is fixed anew, each sample as alone (needs ../shared)',
    async (file) => {
      const model = await loadModel(sharedModel(file))
      const three = cloneModel(model)
      fixDims(three, { batch: 3 }, file)
      const [input, output] = [model.graph.feeds[0]!, model.graph.outputs[0]!]
      const shape = input.type!.shape!.slice(1) as number[]
      const size = shape.reduce((product, dim) => product * dim, 1)
      const { uniform } = random(1, file)
      const pixels = Float32Array.from({ length: 3 * size }, () => uniform() * 255)
      const run = (each: Model, dims: readonly number[], from: number, to: number) =>
        withSession(each, {}, async (session) => {
          const feed = tensorOf('float32', dims, pixels.slice(from * size, to * size))
          return numbers((await session.run({ [input.name]: feed }))[output.name]!)
        })
      const together = await run(three, [3, ...shape], 0, 3)
      const apart = await Promise.all(
        [0, 1, 2].map((index) => run(model, [1, ...shape], index, index + 1)),
      )
      const scale = Math.max(...apart.flat().map(Math.abs))
      for (const [index, value] of apart.flat().entries())
        expect(Math.abs(together[index]! - value) / scale).toBeLessThan(1e-5)
      await inferShapes(three)
      expect(three.graph.outputs[0]!.type?.shape?.[0]).toBe(3)
    },
  )
})
