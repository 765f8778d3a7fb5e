// Models that carry state, trained through all chunks.
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { bench, elements, loadModel, saveModel, tensorOf } from '../../index.ts'
import { allNodes, type Graph } from '../../onnx/graph.ts'
import { carried, speech } from '../pipeline/speech.ts'
import { temporaryFolder } from '../pipeline/tiny.ts'
import { quickly, wholeRun } from '../pipeline/whole.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

const cacheFolder = temporaryFolder()

const graphsIn = (graph: Graph): Graph[] => [
  graph,
  ...[...allNodes(graph)].flatMap(({ subgraphs }) => subgraphs),
]

itWithShared('learns from itself after it was damaged, through all chunks', async () => {
  const model = await loadModel(sharedModel('silero-vad-op18-ifless.onnx'))
  const { normal } = random(14, 'noisy')
  for (const graph of graphsIn(model.graph))
    for (const value of graph.initializers) {
      if (value.tensor?.dtype !== 'float32' || value.tensor.size < 1000) continue
      const values = elements(value.tensor, 'float32')
      const deviation = Math.hypot(...values.subarray(0, 1000)) / Math.sqrt(1000)
      value.tensor = tensorOf(
        'float32',
        value.tensor.dims,
        values.map((weight) => weight + 0.3 * deviation * normal()),
      )
    }
  const noisy = join(temporaryFolder(), 'noisy.onnx')
  await saveModel(model, noisy)
  const { report, outFolder } = await wholeRun({
    task: 'match',
    data: speech(),
    inputs: carried,
    teacher: { model: { file: sharedModel('silero-vad-op18-ifless.onnx') } },
    stages: [
      {
        stage: 'distill',
        student: { file: noisy },
        ...{ epochs: 6, batch: 3, optimizer: { name: 'adam', rate: 0.0003 } },
      },
      { stage: 'quantize', scheme: 'dynamic' },
    ],
  })
  const [distilled] = report.variants
  const epochs = distilled?.training?.epochs ?? []
  expect(epochs.at(-1)?.loss).toBeLessThan(epochs[0]!.loss)
  const { graph } = await loadModel(join(outFolder, distilled!.file))
  expect(graph.inputs.map(({ name }) => name).sort()).toEqual(['input', 'sr', 'state'])
  const damaged = await bench({
    ...{ task: 'match', data: speech(), inputs: carried, models: [noisy] },
    ...{ teacher: sharedModel('silero-vad-op18-ifless.onnx'), cacheFolder },
    latency: quickly.latency,
  })
  expect(distilled?.accuracy?.metrics?.mae).toBeLessThan(
    damaged.variants[0]?.accuracy?.metrics?.mae ?? 0,
  )
})

itWithShared('quantizes what lies in branches, LSTMs too', async () => {
  const { report } = await wholeRun({
    task: 'match',
    data: speech(),
    inputs: carried,
    teacher: { model: { file: sharedModel('silero-vad.onnx') } },
    stages: [{ stage: 'quantize', scheme: 'dynamic' }],
  })
  const [quantized] = report.variants
  expect(quantized?.accuracy?.metrics?.mae).toBeLessThan(1e-3)
  expect(quantized?.sizeBytes).toBeLessThan(0.7 * report.teacher.sizeBytes)
})
