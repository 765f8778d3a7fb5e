import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Graph, Model, Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { standard } from '../../train/lowerings/standard.ts'

/** Builds a loss and differentiates it by the wanted values; all numbers are float32. */
async function differentiated(
  write: (g: Builder) => { loss: Value; wanted: readonly Value[] },
): Promise<{ model: Model; g: Builder; wanted: readonly Value[]; found: Map<Value, Value> }> {
  const { model, g } = newModel('case')
  const { loss, wanted } = write(g)
  g.graph.outputs.push(loss)
  await inferShapes(model)
  const found = backward(g, loss, new Set(wanted), standard)
  return { model, g, wanted, found }
}

/** The gradients by the wanted values, in their order. */
async function gradientsOf(write: Parameters<typeof differentiated>[0]): Promise<number[][]> {
  const { model, g, wanted, found } = await differentiated(write)
  for (const [index, value] of wanted.entries()) g.output(`gradient${index}`, found.get(value)!)
  const results = await withSession(model, {}, (session) => session.run({}))
  return wanted.map((_, index) => numbers(results[`gradient${index}`]!))
}

const weight = (g: Builder, dims: readonly number[], ...values: number[]): Value =>
  g.constant(tensorOf('float32', dims, values), 'weight')
const sum = (g: Builder, value: Value): Value => g.ReduceSum(value, { keepdims: 0 })
const opTypes = (graph: Graph): string[] => graph.nodes.map((node) => node.opType)

describe('backward', () => {
  it('adds up what arrives at a value from all its users', async () => {
    // d(x² + x + x²·x)/dx = 2x + 1 + 3x²
    const [gradient] = await gradientsOf((g) => {
      const x = weight(g, [3], 1, -2, 0.5)
      const square = g.Mul(x, x)
      return { loss: sum(g, g.Add(g.Add(square, x), g.Mul(square, x))), wanted: [x] }
    })
    expect(gradient).toEqual([6, 9, 2.75])
  })

  it('adds up the gradients of a weight that two layers share', async () => {
    // d(a·w·w)/dw with the same matrix in both layers: aᵀ(1wᵀ) + (aw)ᵀ1
    const [gradient] = await gradientsOf((g) => {
      const w = weight(g, [2, 2], 1, 2, 3, 4)
      const hidden = g.MatMul(g.constant(tensorOf('float32', [1, 2], [5, 7])), w)
      return { loss: sum(g, g.MatMul(hidden, w)), wanted: [w] }
    })
    expect(gradient).toEqual([5 * 3 + 26, 5 * 7 + 26, 7 * 3 + 38, 7 * 7 + 38])
  })

  it('leaves out what the scalar does not depend on', async () => {
    const { found, wanted } = await differentiated((g) => {
      const [x, other] = [weight(g, [2], 1, 2), weight(g, [2], 3, 4)]
      g.graph.outputs.push(g.Exp(other))
      return { loss: sum(g, x), wanted: [x, other] }
    })
    expect([...found.keys()]).toEqual([wanted[0]])
  })

  it('takes no gradient through shapes, comparisons and other whole numbers', async () => {
    const [gradient] = await gradientsOf((g) => {
      const x = weight(g, [3], 1, -2, 4)
      const positive = g.Cast(g.Greater(x, 0), { to: 1 })
      const size = g.Cast(g.Shape(x), { to: 1 })
      return { loss: sum(g, g.Mul(g.Mul(x, positive), size)), wanted: [x] }
    })
    expect(gradient).toEqual([3, 0, 3])
  })

  it('writes nothing that stays for values nobody wants', async () => {
    const layers = (wanted: number) =>
      differentiated((g) => {
        const x = g.input('x', { dtype: 'float32', shape: [1, 2, 5, 5] })
        const kernels = [0, 1].map(() =>
          g.constant(tensorOf('float32', [2, 2, 3, 3], new Float32Array(36)), 'kernel'),
        )
        const y = g.Conv(g.Conv(x, kernels[0]), kernels[1])
        return { loss: sum(g, y), wanted: [kernels[wanted]!] }
      })
    const [first, second] = [await layers(0), await layers(1)]
    for (const { g, wanted, found } of [first, second]) {
      g.output('gradient', found.get(wanted[0]!)!)
      removeDeadNodes(g.graph)
    }
    // Two products of weights and one of inputs less: the last kernel's gradient needs one Gemm and no other Conv.
    const count = (graph: Graph, opType: string) =>
      opTypes(graph).filter((each) => each === opType).length
    expect([count(second.g.graph, 'Gemm'), count(second.g.graph, 'Conv')]).toEqual([1, 2])
    expect([count(first.g.graph, 'Gemm'), count(first.g.graph, 'Conv')]).toEqual([1, 3])
  })

  it('asks only nodes on the way from the wanted values for a rule', async () => {
    const [gradient] = await gradientsOf((g) => {
      const determinant = (value: Value) => g.node('Det', [value])[0]!
      const x = weight(g, [2, 2], 1, 2, 5, 7)
      const before = determinant(weight(g, [2, 2], 1, 0, 0, 4))
      g.graph.outputs.push(determinant(g.Mul(x, 2)))
      return { loss: sum(g, g.Mul(x, before)), wanted: [x] }
    })
    expect(gradient).toEqual([4, 4, 4, 4])
  })

  it.each([
    [
      'an operator without a rule',
      (g: Builder, x: Value) => g.node('Det', [x], { name: '/head/Det' })[0]!,
      "model: no gradient for op 'Det' (node '/head/Det', inputs [2,2] float32): its gradient needs an inverse matrix, which no operator gives — freeze the layers before it, or export the model without it",
    ],
    [
      'an operator of another domain',
      (g: Builder, x: Value) => g.node('Gelu', [x], { name: '/act', domain: 'com.microsoft' })[0]!,
      "model: no gradient for op 'com.microsoft.Gelu' (node '/act', inputs [2,2] float32) — ",
    ],
  ])('refuses %s before it writes anything', async (_, write, message) => {
    const { model, g } = newModel('case')
    model.opsets.set('com.microsoft', 1)
    const x = weight(g, [2, 2], 1, 2, 3, 4)
    const loss = sum(g, g.Exp(write(g, g.Neg(x))))
    g.graph.outputs.push(loss)
    await inferShapes(model)
    const before = opTypes(g.graph)
    const differentiate = () => backward(g, loss, new Set([x]), standard)
    expect(differentiate).toThrow(UserError)
    expect(differentiate).toThrow(message)
    expect(opTypes(g.graph)).toEqual(before)
  })
})
