// What ONNX Runtime's WebGPU computes wrong, and what is said of it and done for it.
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { serializeModel } from '../../../onnx/save.ts'
import type { Tensor } from '../../../onnx/tensor.ts'
import { runApart } from '../../../runtime/apart.ts'
import { providerNamed } from '../../../runtime/providers.ts'
import { withSession } from '../../../runtime/session.ts'
import { stateFlatInputs } from '../../../stages/quantize/flat-normalization.ts'
import { likenessOf, worstOf } from '../../../stages/quantize/noise.ts'
import { isOddConvolution } from '../../../stages/quantize/odd-channels.ts'
import { partActivations } from '../../../stages/quantize/paired-activations.ts'
import {
  firstSample,
  normalized,
  quantized,
  samplesOf,
  weights,
} from '../../stages/quantize/support.ts'

const shapeOf = (channels: number) => [channels, 8, 8]

function convolution(
  inputs: number,
  outputs: number,
  size: number,
  group: number,
  opset = 21,
): Model {
  const { model, g } = newModel('m', opset)
  const x = g.input('x', { dtype: 'float32', shape: [1, ...shapeOf(inputs)] })
  const attributes = { group, pads: new Array(4).fill(size >> 1) }
  const y = g.Conv(x, weights([outputs, inputs / group, size, size], 'w'), attributes)
  g.output('y', y, { dtype: 'float32', shape: [1, ...shapeOf(outputs)] })
  return model
}

/** Whether webgpu computes a model as the CPU does. */
async function isRight(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<boolean> {
  const expected = await withSession(model, { where: 'm' }, (session) => session.run(feeds))
  const { results } = await runApart({
    ...{ model: serializeModel(model), runs: [feeds], outputs: ['y'] },
    ...{ provider: 'webgpu', threads: 1, where: 'm' },
  })
  return worstOf(likenessOf([expected], results))!.sqnrDb > 100
}

const webgpu = await providerNamed('webgpu').available()
const itWithGpu = webgpu.available ? it : it.skip

describe('webgpu', () => {
  itWithGpu.each([
    [6, 16, 3, 1],
    [9, 4, 3, 1],
    [15, 16, 5, 1],
    [3, 16, 3, 1],
    [6, 11, 3, 1],
    [7, 16, 3, 1],
    [12, 16, 3, 1],
    [6, 16, 1, 1],
    [18, 16, 3, 2],
    [6, 12, 3, 6],
  ])(
    'convolves %i to %i channels (window %i, groups %i) as the table of odd ones says',
    async (inputs, outputs, size, group) => {
      const model = convolution(inputs, outputs, size, group)
      const feeds = { x: firstSample(samplesOf(shapeOf(inputs), 1)) }
      const isOdd = model.graph.nodes.some(isOddConvolution)
      expect(await isRight(model, feeds)).toBe(!isOdd)
    },
  )

  const chain = (): Model => {
    const { model, g } = newModel('m')
    const x = g.input('x', { dtype: 'float32', shape: [1, ...shapeOf(3)] })
    const pads = { pads: [1, 1, 1, 1] }
    const made = g.Relu(g.Conv(x, weights([6, 3, 3, 3], 'a'), pads))
    const [y] = g.node('Conv', [made, g.constant(weights([16, 6, 3, 3], 'b', 0.1))], {
      name: 'second',
      ...pads,
    })
    g.output('y', g.Flatten(y!), { dtype: 'float32', shape: [1, 1024] })
    return model
  }

  itWithGpu('computes the quantized convolution right that got one more channel', async () => {
    const data = samplesOf(shapeOf(3), 8)
    const { facts } = await quantized(
      chain(),
      { scheme: 'static', providers: ['cpu', 'webgpu'] },
      data,
    )
    expect(facts.summary).toMatch(/runs alike on cpu, webgpu/)
  })

  itWithGpu.each([
    [['n', 8], true, false],
    [['n', 8], false, true],
    [['n', 8, 3, 3], true, true],
  ])('normalizes %j, its axes left open %s: right %s', async (shape, open, atOnce) => {
    const model = normalized(shape, open)
    const feeds = { x: firstSample(samplesOf(shape.slice(1) as number[], 1)) }
    expect(await isRight(model, feeds)).toBe(atOnce)
    await stateFlatInputs(model, 'm')
    expect(await isRight(model, feeds)).toBe(true)
  })

  const activations = ['Clip', 'HardSigmoid', 'LeakyRelu', 'Relu', 'Sigmoid', 'Tanh'] as const
  const activate = (g: Builder, activation: (typeof activations)[number], x: Value): Value =>
    activation === 'Clip' ? g.Clip(x, -0.5, 0.4) : g[activation](x)

  itWithGpu.each(activations.flatMap((first) => activations.map((last) => [first, last] as const)))(
    'computes %s, then %s, behind a convolution as the rule of pairs says',
    async (first, last) => {
      const { model, g } = newModel('m')
      const x = g.input('x', { dtype: 'float32', shape: [1, ...shapeOf(3)] })
      const made = g.Conv(x, weights([4, 3, 1, 1], 'w'))
      const y = activate(g, last, activate(g, first, made))
      g.output('y', y, { dtype: 'float32', shape: [1, ...shapeOf(4)] })
      const feeds = { x: firstSample(samplesOf(shapeOf(3), 1)) }
      // What the last one computes alone is the same here.
      const isSame = ['Clip Clip', 'LeakyRelu Relu', 'Relu Relu'].includes(`${first} ${last}`)
      const pairs = partActivations(cloneModel(model))
      if (!isSame) expect(await isRight(model, feeds)).toBe(pairs === 0)
      partActivations(model)
      expect(await isRight(model, feeds)).toBe(true)
    },
  )

  itWithGpu(
    'computes the quantized convolution right whose input got one more channel',
    async () => {
      const { facts } = await quantized(
        convolution(6, 16, 3, 1),
        { scheme: 'static', providers: ['webgpu'] },
        samplesOf(shapeOf(6), 8),
      )
      expect(facts.summary).toMatch(/runs alike on webgpu/)
    },
  )

  itWithGpu(
    'fails the stage where a channel cannot be added, and says that the input differs',
    async () => {
      await expect(
        quantized(
          convolution(6, 16, 3, 1, 10),
          { scheme: 'static', providers: ['webgpu'] },
          samplesOf(shapeOf(6), 8),
        ),
      ).rejects.toThrow(
        /computes something else on webgpu than ONNX defines: .* the first layer that differs is Conv .* — its float input differs there as well: leave webgpu out by 'providers'/,
      )
    },
  )
})
