// What closes a model is found behind whatever reshapes its answer, and left out.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../onnx/build.ts'
import { closingOf, withoutClosing } from '../../onnx/closing.ts'
import type { Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'

/** Runs the ending on [[1,2,3],[4,5,7]], with and without what closes it. */
async function run(end: (g: Builder, x: Value) => Value, opType?: string) {
  const { model, g } = newModel('ending')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  const output = end(g, g.Mul(x, 2))
  const shown = opType ? withoutClosing(g.graph, output, opType) : output
  const name = g.output('y', shown).name
  removeDeadNodes(g.graph)
  return await withSession(model, {}, async (session) => {
    const { [name]: y } = await session.run({
      x: tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 7]),
    })
    return { dims: y!.dims, values: [...new Float32Array(Uint8Array.from(y!.bytes).buffer)] }
  })
}

const doubled = [2, 4, 6, 8, 10, 14]

const softmaxes: [string, (g: Builder, x: Value) => Value][] = [
  ['Softmax', (g, x) => g.Softmax(x, { axis: 1 })],
  ['Softmax and Reshape', (g, x) => g.Reshape(g.Softmax(x, { axis: 1 }), [-1, 3, 1])],
  ['Softmax and Flatten', (g, x) => g.Flatten(g.Softmax(x, { axis: 1 }))],
  ['Unsqueeze and Squeeze', (g, x) => g.Squeeze(g.Unsqueeze(g.Softmax(x, { axis: 1 }), [2]), [2])],
  ['Identity and Cast', (g, x) => g.Cast(g.Identity(g.Softmax(x, { axis: 1 })), { to: 1 })],
  [
    'Softmax that is quantized',
    (g, x) => {
      const [scale, zero] = [g.constant(0.01), g.constant(tensorOf('uint8', [], [0]))]
      const q = g.QuantizeLinear(g.Softmax(x, { axis: 1 }), scale, zero)
      return g.DequantizeLinear(q, scale, zero)
    },
  ],
  [
    'Softmax written out',
    (g, x) => {
      const powers = g.Exp(x)
      return g.Div(powers, g.ReduceSum(powers, [1], { keepdims: 1 }))
    },
  ],
]

describe('what closes a model', () => {
  it.each(softmaxes)('%s is left out, and the shape stays', async (_, end) => {
    const found = await run(end, 'Softmax')
    expect(found.values).toEqual(doubled)
    expect(found.dims).toEqual((await run(end)).dims)
  })

  it('a Sigmoid is left out where that is asked for', async () => {
    const end = (g: Builder, x: Value) => g.Reshape(g.Sigmoid(x), [3, 2])
    expect(await run(end, 'Sigmoid')).toEqual({ dims: [3, 2], values: doubled })
    expect(await run(end, 'Softmax')).toEqual(await run(end))
  })

  it.each<[string, (g: Builder, x: Value) => Value]>([
    ['log-probabilities', (g, x) => g.LogSoftmax(x, { axis: 1 })],
    ['a Softmax times two', (g, x) => g.Mul(g.Softmax(x, { axis: 1 }), 2)],
    ['powers over another sum', (g, x) => g.Div(g.Exp(x), g.ReduceSum(x, [1], { keepdims: 1 }))],
    [
      'powers over their sum over samples',
      (g, x) => {
        const powers = g.Exp(x)
        return g.Div(powers, g.ReduceSum(powers, [0], { keepdims: 1 }))
      },
    ],
  ])('%s stay as they are', async (_, end) => {
    expect(await run(end, 'Softmax')).toEqual(await run(end))
  })

  it('is nothing where an input is the output', () => {
    const { g } = newModel('empty')
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    expect(closingOf(x)).toEqual({ opType: undefined, before: undefined, path: [] })
  })
})
