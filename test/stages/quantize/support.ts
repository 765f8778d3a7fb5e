// What the tests of quantization share: a context, samples, and ONNX's definitions in plain JavaScript.
import type { z } from 'zod'
import { random } from '../../../base/random.ts'
import type { Dataset, Splits } from '../../../data/dataset.ts'
import { newModel } from '../../../onnx/build.ts'
import { type Model, type Node, opsetOf, type Value } from '../../../onnx/graph.ts'
import { elements, numbers, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import type { Artifact, StageContext } from '../../../stages/stage.ts'
import { tasks } from '../../../tasks/index.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { datasetOf } from '../../support/samples.ts'

/** Random samples, the same each time. */
export function samplesOf(shape: readonly number[], size = 32, scale = 1): Dataset {
  const width = sizeOf(shape)
  return datasetOf({
    source: 'random',
    shape,
    classes: ['0', '1'],
    labels: new Int32Array(size),
    write(index, into) {
      const { normal } = random(7, index)
      for (let place = 0; place < width; place++) into[place] = scale * normal()
    },
  })
}

/** A context with logs that can be looked at. */
export function contextOf(model: Model, data?: Dataset): StageContext & { logs: string[] } {
  const logs: string[] = []
  const folder = temporaryFolder()
  const context: StageContext = {
    teacher: model,
    variant: async () => model,
    task: tasks.classification,
    data:
      data && ({ train: data, validation: data, calibration: data, test: data } satisfies Splits),
    seed: 1,
    threads: 1,
    provider: 'cpu',
    folder,
    shared: folder,
    signal: undefined,
    checkpointDue: () => false,
    log: (message) => logs.push(message),
    progress: () => undefined,
  }
  return { ...context, logs }
}

type Options = Omit<z.input<typeof quantize.options>, 'stage'>

/** Runs the stage. */
export function quantized(model: Model, options: Options, data?: Dataset): Promise<Artifact> {
  const parsed = quantize.options.parse({ stage: 'quantize', ...options })
  return quantize.run({ model, facts: {} }, parsed, contextOf(model, data))
}

/** Seeded float32 weights. */
export function weights(dims: readonly number[], label: string, scale = 0.5): Tensor {
  const { normal } = random(3, label)
  return tensorOf(
    'float32',
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => scale * normal()),
  )
}

/** The first sample as a batch of one. */
export function firstSample(data: Dataset): Tensor {
  const { shape } = data.columns[0]!
  const values = new Float32Array(sizeOf(shape))
  data.read(0, 0, values, 0)
  return tensorOf('float32', [1, ...shape], values)
}

/** The first output of a model in ONNX Runtime. */
export async function runOnce(model: Model, input: Tensor): Promise<Float32Array> {
  return withSession(model, {}, async (session) => {
    const results = await session.run({ [session.inputs[0]!.name]: input })
    return elements(results[session.outputs[0]!.name]!, 'float32')
  })
}

/** Counts the nodes of each operator. */
export function operatorsOf(model: Model): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { opType } of model.graph.nodes) counts[opType] = (counts[opType] ?? 0) + 1
  return counts
}

interface Numbers {
  readonly dims: readonly number[]
  readonly data: readonly number[]
}

/** Runs a graph by ONNX's definitions, in float64: nothing is fused, everything is quantized where the graph says so. */
export function interpret(model: Model, input: Tensor): readonly number[] {
  if (opsetOf(model) < 13) throw new Error('interpret knows opset 13 and later')
  const known = new Map<Value, Numbers>([[model.graph.feeds[0]!, toNumbers(input)]])
  const contentOf = (value: Value): Numbers =>
    known.get(value) ?? toNumbers(value.tensor ?? fail(`no value '${value.name}'`))
  for (const node of model.graph.nodes) {
    const inputs = node.inputs.map((value) => value && contentOf(value))
    const definition = definitions[node.opType] ?? fail(`no definition of ${node.opType}`)
    known.set(node.output(), definition(node, inputs as Numbers[]))
  }
  return contentOf(model.graph.outputs[0]!).data
}

const fail = (message: string): never => {
  throw new Error(message)
}

const toNumbers = (tensor: Tensor): Numbers => ({ dims: tensor.dims, data: numbers(tensor) })

const clip = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value))

/** Half to even, by another way than the code under test: through the parity of the floor. */
function nearest(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** The scale or zero point of an element. */
function parameter(from: Numbers | undefined, node: Node, dims: readonly number[], index: number) {
  if (!from) return 0
  if (from.data.length === 1) return from.data[0]!
  const axis = node.number('axis', 1)
  return from.data[Math.floor(index / sizeOf(dims.slice(axis + 1))) % dims[axis]!]!
}

/** The numbers that QuantizeLinear gives. */
const integers: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
}

const definitions: Readonly<Record<string, (node: Node, inputs: Numbers[]) => Numbers>> = {
  QuantizeLinear(node, [x, scale, zero]) {
    const [low, high] = integers[node.input(2).tensor?.dtype ?? 'uint8']!
    const data = x!.data.map((value, index) => {
      const [s, z] = [parameter(scale, node, x!.dims, index), parameter(zero, node, x!.dims, index)]
      return clip(nearest(Math.fround(Math.fround(value) / s)) + z, low!, high!)
    })
    return { dims: x!.dims, data }
  },
  DequantizeLinear(node, [x, scale, zero]) {
    const data = x!.data.map(
      (value, index) =>
        (value - parameter(zero, node, x!.dims, index)) * parameter(scale, node, x!.dims, index),
    )
    return { dims: x!.dims, data }
  },
  LeakyRelu: (node, [x]) => ({
    dims: x!.dims,
    data: x!.data.map((value) => (value < 0 ? value * node.number('alpha', 0.01) : value)),
  }),
  Relu: (_node, [x]) => ({ dims: x!.dims, data: x!.data.map((value) => Math.max(0, value)) }),
  Add: (_node, [a, b]) => ({ dims: a!.dims, data: a!.data.map((value, i) => value + b!.data[i]!) }),
  Gemm(node, [a, b, c]) {
    const [rows, inner] = a!.dims as [number, number]
    const transposed = node.number('transB', 0) === 1
    const columns = b!.dims[transposed ? 0 : 1]!
    const data = Array.from({ length: rows * columns }, (_, index) => {
      const [row, column] = [Math.floor(index / columns), index % columns]
      let sum = c?.data[column] ?? 0
      for (let k = 0; k < inner; k++)
        sum +=
          a!.data[row * inner + k]! *
          b!.data[transposed ? column * inner + k : k * columns + column]!
      return sum
    })
    return { dims: [rows, columns], data }
  },
  Conv(node, [x, w, b]) {
    const [batch, inputs, height, width] = x!.dims as [number, number, number, number]
    const [outputs, perGroup, kh, kw] = w!.dims as [number, number, number, number]
    const [top, left, bottom, right] = node.numbers('pads', [0, 0, 0, 0]) as number[]
    const [sh, sw] = node.numbers('strides', [1, 1]) as number[]
    const group = node.number('group', 1)
    const oh = Math.floor((height + top! + bottom! - kh) / sh!) + 1
    const ow = Math.floor((width + left! + right! - kw) / sw!) + 1
    const dims = [batch, outputs, oh, ow]
    const data = Array.from({ length: sizeOf(dims) }, (_, index) => {
      const [column, row] = [index % ow, Math.floor(index / ow) % oh]
      const output = Math.floor(index / (ow * oh)) % outputs
      const sample = Math.floor(index / (ow * oh * outputs))
      let sum = b?.data[output] ?? 0
      for (let c = 0; c < perGroup; c++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const [y, z] = [row * sh! + i - top!, column * sw! + j - left!]
            if (y < 0 || z < 0 || y >= height || z >= width) continue
            const channel = Math.floor(output / (outputs / group)) * perGroup + c
            sum +=
              x!.data[((sample * inputs + channel) * height + y) * width + z]! *
              w!.data[((output * perGroup + c) * kh + i) * kw + j]!
          }
      return sum
    })
    return { dims, data }
  },
}

/** BatchNormalization of an input, behind a Reshape that leaves the number of axes open, or at once. */
export function normalized(shape: readonly (string | number)[], open: boolean): Model {
  const { model, g } = newModel('m')
  const x = g.input('x', { dtype: 'float32', shape })
  const parameters = [2, 0.5, -1, 3].map((from, index) =>
    g.constant(
      tensorOf(
        'float32',
        [8],
        Float32Array.from({ length: 8 }, (_, c) => from + c * (index === 1 ? -1 : 1)),
      ),
    ),
  )
  const all = tensorOf(
    'bool',
    [shape.length],
    shape.map(() => 1),
  )
  // How many numbers Compress leaves is not known before it runs.
  const [known] = g.node('Compress', [g.Shape(x), all])
  const rows = open ? g.Reshape(x, known!) : x
  g.output('y', g.BatchNormalization(rows, ...parameters), { dtype: 'float32', shape })
  return model
}
