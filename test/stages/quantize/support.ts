// What the tests of quantization share: a context, samples, and running models.
import type { z } from 'zod'
import { random } from '../../../base/random.ts'
import type { Dataset, Splits } from '../../../data/dataset.ts'
import { newModel } from '../../../onnx/build.ts'
import type { Model } from '../../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
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
