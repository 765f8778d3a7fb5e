// Training through a pair of QuantizeLinear and DequantizeLinear, as quantization-aware training has it.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { numbers, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { standard } from '../../train/lowerings/standard.ts'

const floats = (...values: number[]): Tensor => tensorOf('float32', [values.length], values)

/** Gradients of Σ value · (1, 2, 3, …) by initializers. */
async function gradientsOf(
  write: (g: Builder) => { value: Value; wanted: readonly Value[] },
): Promise<(number[] | undefined)[]> {
  const { model, g } = newModel('pair')
  const { value, wanted } = write(g)
  g.graph.outputs.push(value)
  await inferShapes(model)
  const { shape } = value.type!
  const count = Number(shape![0])
  const factors = floats(...Array.from({ length: count }, (_, index) => index + 1))
  const loss = g.ReduceSum(g.Mul(value, factors), { keepdims: 0 })
  g.graph.outputs.push(loss)
  await inferShapes(model)
  const found = backward(g, loss, new Set(wanted), standard)
  const names = wanted.map((each, index) => {
    const gradient = found.get(each)
    return gradient && g.output(`gradient${index}`, gradient).name
  })
  const results = await withSession(model, {}, (session) => session.run({}))
  return names.map((name) => name && numbers(results[name]!)) as (number[] | undefined)[]
}

/** Levels 3, -2.4, 200 (too large) and -128.2 (rounded into the range) of a scale of 0.5. */
const weight = floats(1.5, -1.2, 100, -64.1)
const scale = tensorOf('float32', [], [0.5])
const zero = tensorOf('int8', [], [0])

describe('a pair of QuantizeLinear and DequantizeLinear', () => {
  it('lets the gradient pass where it does not clip, and teaches its scale as LSQ does', async () => {
    const [byWeight, byScale] = await gradientsOf((g) => {
      const [x, s] = [g.constant(weight), g.constant(scale)]
      const levels = g.QuantizeLinear(x, s, zero)
      return { value: g.DequantizeLinear(levels, s, zero), wanted: [x, s] }
    })
    expect(byWeight).toEqual([1, 2, 0, 4])
    // round(v) - v inside, the bound of the range outside (Esser et al. 2020, equation 3).
    const expected = 1 * (3 - 3) + 2 * (-2 + 2.4) + 3 * 127 + 4 * (-128 + 128.2)
    expect(byScale![0]).toBeCloseTo(expected, 3)
  })

  it('lets it pass through integers that are moved on the way', async () => {
    const [byWeight] = await gradientsOf((g) => {
      const x = g.constant(weight)
      const levels = g.Reshape(g.Slice(g.QuantizeLinear(x, scale, zero), [0], [2], [0]), [2])
      return { value: g.DequantizeLinear(levels, scale, zero), wanted: [x] }
    })
    expect(byWeight).toEqual([1, 2, 0, 0])
  })

  it('teaches the scale of integer weights', async () => {
    const [byScale] = await gradientsOf((g) => {
      const levels = g.constant(tensorOf('int8', [2], Int8Array.from([5, -7])))
      const s = g.constant(scale)
      return { value: g.DequantizeLinear(levels, s, zero), wanted: [s] }
    })
    expect(byScale).toEqual([5 - 14])
  })
})
