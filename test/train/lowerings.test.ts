// The blocked lowering against the standard one, which gradients.test.ts holds against the float64 reference.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type Attributes, newModel } from '../../onnx/build.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { loweringFor } from '../../train/lowerings/choose.ts'
import type { Lowering } from '../../train/lowerings/lowering.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { convolutionOf } from '../../train/rules/window.ts'
import { relativeError } from '../support/reference.ts'

interface ConvolutionCase {
  readonly x: readonly number[]
  readonly w: readonly number[]
  readonly attributes?: Attributes
}

const conv = (
  x: readonly number[],
  w: readonly number[],
  attributes: Attributes = {},
): ConvolutionCase => ({ x, w, attributes })

const same = { pads: [1, 1, 1, 1] }
const halved = { ...same, strides: [2, 2] }

/** Shapes that blocks of 16 and 8 fit, in every form that the blocked lowering writes, and some that they do not. */
const cases: readonly ConvolutionCase[] = [
  conv([16, 16, 8, 8], [32, 16, 3, 3], same),
  conv([16, 32, 7, 5], [16, 32, 3, 3], same),
  conv([16, 16, 8, 6], [16, 16, 3, 3]),
  conv([32, 16, 6, 6], [16, 16, 5, 5], { pads: [2, 2, 2, 2] }),
  conv([16, 16, 6, 7], [16, 16, 3, 1], { pads: [1, 0, 1, 0] }),
  conv([16, 16, 6, 7], [16, 16, 1, 5], { pads: [0, 2, 0, 1] }),
  conv([16, 16, 5, 5], [32, 16, 1, 1]),
  conv([16, 16, 8, 8], [32, 16, 1, 1], { strides: [2, 2] }),
  conv([16, 16, 8, 8], [32, 16, 3, 3], halved),
  conv([16, 32, 6, 10], [16, 32, 3, 3], halved),
  conv([16, 16, 7, 9], [16, 16, 3, 3], halved),
  conv([16, 16, 8, 8], [16, 16, 3, 3], { strides: [2, 2], pads: [0, 0, 1, 1] }),
  conv([16, 16, 8, 7], [16, 16, 3, 3], { strides: [2, 1], pads: [1, 1, 1, 1] }),
  conv([16, 16, 9, 9], [16, 16, 2, 2], { strides: [3, 3] }),
  conv([16, 16, 9, 9], [16, 16, 7, 7], { strides: [2, 2], pads: [3, 3, 3, 3] }),
  conv([16, 16, 4, 4], [16, 16, 2, 2], { pads: [3, 2, 2, 3] }),
  conv([16, 16, 8, 8], [16, 16, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  conv([16, 16, 7, 7], [16, 16, 3, 3], { dilations: [2, 2], pads: [2, 2, 2, 2] }),
  conv([16, 8, 6, 6], [16, 8, 3, 3], same),
  conv([16, 3, 6, 6], [16, 3, 3, 3], same),
  conv([5, 16, 6, 6], [16, 16, 3, 3], same),
  conv([20, 16, 6, 6], [16, 16, 3, 3], same),
  conv([9, 3, 6, 6], [16, 3, 3, 3], halved),
  conv([1, 16, 6, 6], [16, 16, 3, 3], halved),
  conv([16, 16, 6, 6], [10, 16, 3, 3], same),
  conv([16, 16, 6, 6], [16, 1, 3, 3], { ...same, group: 16 }),
  conv([3, 32, 7, 9], [32, 1, 3, 3], { ...same, group: 32 }),
  conv([3, 32, 8, 6], [32, 1, 3, 3], { ...halved, group: 32 }),
  conv([2, 16, 9, 7], [16, 1, 5, 5], { pads: [2, 2, 2, 2], strides: [2, 2], group: 16 }),
  conv([2, 16, 9, 7], [16, 1, 3, 3], { strides: [2, 2], group: 16 }),
  conv([2, 16, 9, 9], [16, 1, 3, 3], { pads: [2, 2, 2, 2], dilations: [2, 2], group: 16 }),
  conv([2, 16, 8, 8], [32, 1, 3, 3], { ...same, group: 16 }),
  conv([16, 32, 6, 6], [32, 16, 3, 3], { ...same, group: 2 }),
  conv([16, 32, 6, 6], [64, 16, 3, 3], { ...halved, group: 2 }),
  conv([16, 32, 6, 6], [32, 8, 3, 3], { ...same, group: 4 }),
  conv([16, 32, 6, 6], [32, 16, 1, 1], { strides: [3, 2], group: 2 }),
  conv([16, 16, 9, 9], [16, 16, 3, 3], { dilations: [2, 3], strides: [2, 1], pads: [1, 2, 0, 1] }),
  conv([16, 16, 9], [16, 16, 3], { pads: [1, 1] }),
]

/** The product and its gradients for a random dL/dy. */
async function computed(lowering: Lowering, { x, w, attributes = {} }: ConvolutionCase) {
  const { model, g } = newModel('convolution')
  const inputs = { x, w }
  const input = (name: keyof typeof inputs) =>
    g.input(name, { dtype: 'float32', shape: inputs[name] })
  const plain = g.Conv(input('x'), input('w'), attributes)
  g.graph.outputs.push(plain)
  await inferShapes(model)
  const convolution = convolutionOf(plain.producer!)
  const dy = g.input('dy', { dtype: 'float32', shape: convolution.yShape })
  g.output('y', lowering.convolution(g, convolution) ?? g.Identity(plain))
  g.output('dx', lowering.convolutionInput(g, convolution, dy))
  g.output('dw', lowering.convolutionWeight(g, convolution, dy))
  model.opsets.set('com.microsoft.nchwc', 1)
  const feeds = Object.fromEntries(
    Object.entries({ x, w, dy: convolution.yShape }).map(([name, dims]) => {
      const source = random(1, name)
      const values = Float32Array.from({ length: sizeOf(dims) }, () => source.normal())
      return [name, tensorOf('float32', dims, values)]
    }),
  )
  return withSession(model, { threads: 2 }, (session) => session.run(feeds, ['y', 'dx', 'dw']))
}

describe('the lowering for the CPU', () => {
  it.each(cases)('agrees with the standard one: x $x, w $w, $attributes', async (entry) => {
    const right = await computed(standard, entry)
    const found = await computed(await loweringFor('cpu'), entry)
    const values = (tensor: Tensor) => elements(tensor, 'float32')
    for (const name of ['y', 'dx', 'dw']) {
      expect(found[name]!.dims).toEqual(right[name]!.dims)
      expect(relativeError(values(found[name]!), values(right[name]!))).toBeLessThan(1e-5)
    }
  })

  it('is found out once, and is the standard one on every other provider', async () => {
    const lowering = await loweringFor('cpu')
    expect(await loweringFor('cpu')).toBe(lowering)
    expect(await loweringFor('wasm')).toBe(standard)
    expect(await loweringFor('webgpu')).toBe(standard)
  })
})
