// Which lowering to use: the blocked one where a probe shows that ONNX Runtime's internal operators do here what we
// expect of them, the standard one everywhere else.
import { messageOf } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import { build, newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { elements, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import type { ProviderName } from '../../runtime/providers.ts'
import { withSession } from '../../runtime/session.ts'
import { cpuNchwc } from './cpu-nchwc.ts'
import type { Convolution, Lowering } from './lowering.ts'
import { standard } from './standard.ts'

/** Block sizes that ONNX Runtime has kernels for: 16 floats with AVX-512, 8 with AVX2. */
const blockSizes = [16, 8] as const

let probed: Promise<Lowering> | undefined

/**
 * The fastest lowering that is right on a provider, found out once a process.
 *
 * `log` is told why, where it is the standard one on the CPU.
 */
export async function loweringFor(
  provider: ProviderName,
  log: (message: string) => void = () => undefined,
): Promise<Lowering> {
  if (provider !== 'cpu') return standard
  probed ??= probe(log)
  return probed
}

async function probe(log: (message: string) => void): Promise<Lowering> {
  const reasons: string[] = []
  for (const block of blockSizes) {
    const lowering = cpuNchwc(block)
    try {
      if (await agrees(lowering, block)) return lowering
      reasons.push(`blocks of ${block}: another result`)
    } catch (thrown) {
      reasons.push(`blocks of ${block}: ${messageOf(thrown)}`)
    }
  }
  log(`convolutions train the standard way: ${reasons.join('; ')}`)
  return standard
}

/** Compares what is left of convolutions, full and depthwise, of stride 1 and 2, with the standard lowering. */
async function agrees(lowering: Lowering, block: number): Promise<boolean> {
  for (const stride of [1, 2])
    for (const depthwise of [false, true]) {
      const [expected, found] = [standard, lowering].map((one) =>
        probeModel(one, block, stride, depthwise),
      )
      if (!(await same(expected!, found!))) return false
    }
  return true
}

/** A convolution, both its gradients, and what is kept in blocks behind it: a norm, a residual sum, Relu, reductions. */
function probeModel(lowering: Lowering, block: number, stride: number, depthwise: boolean): Model {
  const { model } = newModel('probe')
  model.opsets.set('com.microsoft.nchwc', 1)
  const g = build(model.graph)
  const side = 6
  const out = side / stride
  const channels = 2 * block
  const shapes = {
    x: [block, depthwise ? channels : block, side, side],
    w: [channels, depthwise ? 1 : block, 3, 3],
    dy: [block, channels, out, out],
    scale: [channels],
  }
  const input = (name: keyof typeof shapes) =>
    g.input(name, { dtype: 'float32', shape: shapes[name] })
  const [x, w, dy, scale] = [input('x'), input('w'), input('dy'), input('scale')]
  const pair = (value: number) => [value, value]
  const group = depthwise ? channels : 1
  const convolution: Convolution = {
    ...{ x, w, xShape: shapes.x, wShape: shapes.w, yShape: shapes.dy, group },
    ...{ kernel: pair(3), strides: pair(stride), dilations: pair(1) },
    ...{ begin: pair(1), end: pair(1), input: pair(side), output: pair(out) },
  }
  const attributes = { kernel_shape: pair(3), strides: pair(stride), pads: [1, 1, 1, 1], group }
  const y = lowering.convolution(g, convolution) ?? g.Conv(x, w, attributes)
  const normal = g.BatchNormalization(y, scale, scale, scale, g.Mul(scale, scale))
  const sum = g.Relu(g.Add(normal, y))
  g.output('y', sum)
  g.output('mean', g.ReduceMean(sum, [0, 2, 3], { keepdims: 0 }))
  g.output('product', g.ReduceSum(g.Mul(sum, y), [0, 2, 3], { keepdims: 0 }))
  g.output('dx', lowering.convolutionInput(g, convolution, dy))
  g.output('dw', lowering.convolutionWeight(g, convolution, dy))
  lowering.finish?.(model.graph)
  return model
}

async function same(expected: Model, found: Model): Promise<boolean> {
  const source = random(1, 'probe')
  const feeds = Object.fromEntries(
    expected.graph.inputs.map(({ name, type }) => {
      const shape = type!.shape as readonly number[]
      const values = Float32Array.from({ length: sizeOf(shape) }, () => source.normal())
      return [name, tensorOf('float32', shape, values)]
    }),
  )
  const [right, other] = [
    await withSession(expected, {}, (session) => session.run(feeds)),
    await withSession(found, {}, (session) => session.run(feeds)),
  ]
  return Object.entries(right).every(([name, tensor]) => {
    const values = elements(other[name]!, 'float32')
    return elements(tensor, 'float32').every(
      (value, index) => Math.abs(value - values[index]!) <= 1e-3 * (1 + Math.abs(value)),
    )
  })
}
