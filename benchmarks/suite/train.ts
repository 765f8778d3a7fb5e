// How long a training step takes and how much memory, beside PyTorch and TensorFlow.js where they are to be had.
import { availableParallelism } from 'node:os'
import { messageOf } from '../../base/errors.ts'
import { loadTensorFlow } from '../../train/engines/tfjs/tensorflow.ts'
import type { Answer, Question } from './question.ts'
import { type TrainCaseName, trainCases } from './train-models.ts'
import {
  engineTrainer,
  type Measured,
  measureRounds,
  type Trainer,
  torchTrainer,
} from './train-process.ts'

const rounds = 7

/** Modes of PyTorch worth comparing with: only convolutions care for the order of channels. */
const torchModes = {
  mlp: ['eager'],
  transformer: ['eager'],
  cnn: ['eager', 'channels_last'],
  resnet20: ['eager', 'channels_last', 'compile'],
} as const satisfies Record<TrainCaseName, readonly Parameters<typeof torchTrainer>[0][]>

/** Steps of four networks: time, samples a second, peak memory, and the ratio of times to each peer's. */
export const trainStep: Question = {
  summary: 'a training step, beside peers; ratios are of times, below 1 we are faster',
  async *answer() {
    for (const name of Object.keys(trainCases) as TrainCaseName[]) yield* await answersFor(name)
  },
}

async function answersFor(name: TrainCaseName): Promise<Answer[]> {
  const { batch } = trainCases[name]
  const peers = [...torchModes[name].map(torchTrainer), await tfjsTrainer()]
  const trainers = peers.filter((peer) => typeof peer !== 'string')
  const missing = new Set(peers.filter((peer) => typeof peer === 'string'))
  for (const reason of missing) console.log(`  ${name}: without a peer: ${reason}`)
  const threads = availableParallelism()
  const step = { name, batch, depth: 0, threads }
  const contestants = [engineTrainer('onnx'), ...trainers].map((trainer) => ({ trainer, step }))
  const [ours, ...theirs] = await measureRounds(contestants, rounds)
  if (!ours) throw new Error(`internal: the training step of '${name}' failed`)
  return [
    ...figures(`${name} ${batch}`, ours, batch),
    ...trainers.flatMap(({ name: peer }, index) => {
      const measured = theirs[index]
      if (!measured) {
        console.log(`  ${name}: without ${peer}, which failed`)
        return []
      }
      const ratios = ours.map(({ ms }, round) => ms / measured[round]!.ms)
      const memory = ours.map(({ peakBytes }, round) => peakBytes / measured[round]!.peakBytes)
      return [
        ...figures(`${name} ${batch}, ${peer}`, measured, batch),
        { what: `${name}, ratio to ${peer}`, unit: 'times', values: ratios } as const,
        { what: `${name}, memory to ${peer}`, unit: 'times', values: memory.slice(-1) } as const,
      ]
    }),
  ]
}

const figures = (what: string, measured: readonly Measured[], batch: number): Answer[] => [
  { what, unit: 'ms', values: measured.map(({ ms }) => ms) },
  { what, unit: 'samples/s', values: measured.map(({ ms }) => (batch / ms) * 1000) },
  { what, unit: 'MB', values: measured.slice(-1).map(({ peakBytes }) => peakBytes / 1e6) },
]

/** TensorFlow's native library under our own graphs; in plain JavaScript it takes minutes a step. */
async function tfjsTrainer(): Promise<Trainer | string> {
  try {
    await loadTensorFlow('tensorflow')
    return engineTrainer('tfjs')
  } catch (thrown) {
    return messageOf(thrown)
  }
}
