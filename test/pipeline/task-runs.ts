// Small whole runs of every task: a teacher is trained, a student learns from it, is compressed and measured.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { ArchitectureInput, RecipeInput } from '../../index.ts'
import { wavOf } from '../data/audio/sound.ts'
import {
  csvOf,
  folderOf,
  jsonlOf,
  npyOf,
  npzOf,
  quickly,
  safetensorsOf,
  wholeRun,
} from './whole.ts'

const count = 240
const adam = (rate = 0.01) => ({ name: 'adam', rate }) as const
const epochs = (number: number, rate = 0.01) => ({
  ...{ epochs: number, batch: 16 },
  optimizer: adam(rate),
})

/** Rows of four numbers. */
const points = Array.from({ length: count }, (_, index) => {
  const { normal } = random(1, 'points', index)
  return [normal(), normal(), normal(), normal()]
})
/** Which of three things are said of a point. */
const said = points.map(([a, b, c]) => [a! > 0, b! > 0.3, a! + c! > 0].map(Number))

const words = ['anna', 'bert', 'carl', 'lives', 'works', 'in', 'near', 'rome', 'paris', 'oslo']
const tagOf = (word: number) => (word < 3 ? 'B-PER' : word > 6 ? 'B-LOC' : 'O')
const sentences = Array.from({ length: count }, (_, index) => {
  const { integer } = random(2, 'sentences', index)
  const chosen = Array.from({ length: 3 + integer(4) }, () => integer(words.length))
  return { words: chosen.map((word) => words[word]), tags: chosen.map(tagOf) }
})

/** Texts of words of one of two subjects, and how alike their subjects are. */
const pairs = Array.from({ length: count }, (_, index) => {
  const { integer } = random(3, 'pairs', index)
  const text = (subject: number) =>
    Array.from({ length: 4 }, () => words[5 * subject + integer(5)]).join(' ')
  const [first, second] = [integer(2), integer(2)]
  return { first: text(first), second: text(second), score: Number(first === second) }
})

/** Tones, high and low. */
const tones = Object.fromEntries(
  Array.from({ length: 48 }, (_, index) => {
    const { uniform } = random(4, 'tones', index)
    const pitch = index % 2 === 0 ? 300 + 100 * uniform() : 1500 + 500 * uniform()
    const sound = Float64Array.from(
      { length: 2000 },
      (_, at) => 0.5 * Math.sin((2 * Math.PI * pitch * at) / 8000),
    )
    return [`${index % 2 === 0 ? 'low' : 'high'}/${index}.wav`, wavOf(sound, 8000)]
  }),
)

const mlp = (hidden: number): ArchitectureInput => ({ architecture: 'mlp', hidden: [hidden] })

/** A whole run, and what must come of it. */
export interface Case {
  readonly recipe: () => Omit<RecipeInput, 'name'>
  /** The main figure, and what the teacher must reach. */
  readonly metric: string
  readonly atLeast: number
  /** Figures that the report must have besides. */
  readonly metrics: readonly string[]
  /** Only in the slow tests: others have the same task, or it takes long. */
  readonly slow?: true
}

/** Whole runs by what they are of. */
export const cases: Readonly<Record<string, Case>> = {
  'multi-label of lists': {
    slow: true,
    recipe: () => ({
      task: 'multi-label',
      data: {
        format: 'jsonl',
        path: join(
          folderOf({
            'train.jsonl': jsonlOf(
              points.map((x, index) => ({
                x,
                labels: ['red', 'green', 'blue'].filter((_, label) => said[index]![label]),
              })),
            ),
          }),
          'train.jsonl',
        ),
      },
      teacher: { model: mlp(16), train: epochs(8, 0.02) },
      stages: [
        { stage: 'distill', student: mlp(8), ...epochs(5, 0.02) },
        { stage: 'quantize', scheme: 'dynamic' },
      ],
    }),
    metric: 'f1',
    atLeast: 0.85,
    metrics: ['precision', 'recall', 'f1-macro'],
  },
  'multi-label of columns': {
    slow: true,
    recipe: () => ({
      task: 'multi-label',
      data: {
        format: 'csv',
        path: folderOf({
          'train.csv': csvOf(
            ['a', 'b', 'c', 'd', 'is_a', 'is_b', 'is_ac'],
            points.map((x, index) => [...x, ...said[index]!]),
          ),
        }),
        target: ['is_a', 'is_b', 'is_ac'],
      },
      teacher: { model: mlp(16), train: epochs(12) },
      stages: [
        { stage: 'distill', student: mlp(16), ...epochs(8) },
        { stage: 'prune', structure: 'channels', target: { parameters: 0.7 } },
      ],
    }),
    metric: 'f1',
    atLeast: 0.85,
    metrics: ['precision', 'recall', 'f1-macro'],
  },
  'regression of two values': {
    recipe: () => ({
      task: 'regression',
      data: {
        format: 'csv',
        path: folderOf({
          'train.csv': csvOf(
            ['a', 'b', 'c', 'd', 'sum', 'product'],
            points.map((x) => [...x, x[0]! + x[1]! + 3, x[2]! * 2 - 1]),
          ),
        }),
        target: ['sum', 'product'],
        targetScale: 2,
      },
      teacher: { model: mlp(16), train: epochs(12, 0.03) },
      stages: [
        { stage: 'distill', student: mlp(8), ...epochs(10, 0.03) },
        { stage: 'quantize', scheme: 'static', calibration: { samples: 64 } },
      ],
      benchmark: { ...quickly, gates: { metrics: { mae: '<= 3' } } },
    }),
    metric: 'r2',
    atLeast: 0.8,
    metrics: ['mae', 'rmse', 'r2.sum', 'rmse.product'],
  },
  tagging: {
    recipe: () => ({
      task: 'tagging',
      data: {
        format: 'jsonl',
        path: folderOf({ 'train.jsonl': jsonlOf(sentences) }),
        features: {
          text: { kind: 'text', column: 'words', tokenizer: { kind: 'word' }, length: 8 },
        },
      },
      teacher: {
        model: { architecture: 'bilstm-tagger', embedding: 16, hidden: 16 },
        train: epochs(4),
      },
      stages: [
        {
          stage: 'distill',
          student: { architecture: 'bilstm-tagger', embedding: 8, hidden: 8 },
          ...{ ...epochs(4), classWeights: 'balanced' },
        },
        { stage: 'quantize', scheme: 'dynamic' },
      ],
    }),
    metric: 'accuracy',
    atLeast: 0.9,
    metrics: ['entity-f1'],
  },
  ranking: {
    slow: true,
    recipe: () => ({
      task: 'ranking',
      data: {
        format: 'generated-interactions',
        'generated-interactions': { users: 60, items: 80, interactionsPerUser: 20, noise: 0.1 },
        interactions: { time: 'time', negatives: 3, candidates: 20 },
        features: {
          user: { kind: 'category', column: 'user' },
          item: { kind: 'category', column: 'item' },
        },
      },
      teacher: {
        model: { architecture: 'two-tower', embedding: 8, hidden: [], width: 8 },
        train: { ...epochs(6), batch: 64, optimizer: adam(0.03) },
      },
      stages: [
        {
          stage: 'distill',
          student: { architecture: 'two-tower', embedding: 4, hidden: [], width: 4 },
          ...{ ...epochs(6), batch: 64, optimizer: adam(0.03) },
        },
        { stage: 'quantize', scheme: 'dynamic' },
      ],
    }),
    metric: 'ndcg@10',
    atLeast: 0.35,
    metrics: ['hit-rate@1', 'hit-rate@10', 'mrr'],
  },
  similarity: {
    slow: true,
    recipe: () => ({
      task: 'similarity',
      data: {
        format: 'jsonl',
        path: folderOf({ 'train.jsonl': jsonlOf(pairs) }),
        pairs: { columns: ['first', 'second'] },
        features: {
          text: { kind: 'text', column: 'item', tokenizer: { kind: 'word' }, output: 'bag' },
        },
        target: 'score',
      },
      teacher: { model: mlp(16), train: epochs(5, 0.02) },
      stages: [
        { stage: 'distill', student: mlp(8), ...epochs(5, 0.02) },
        { stage: 'quantize', scheme: 'dynamic' },
      ],
    }),
    metric: 'spearman',
    atLeast: 0.7,
    metrics: ['pearson'],
  },
  'match by an autoencoder': {
    slow: true,
    recipe: () => ({
      task: 'match',
      data: {
        format: 'npz',
        path: join(
          folderOf({ 'x.npz': npzOf({ x_train: npyOf([count, 4], points.flat()) }) }),
          'x.npz',
        ),
      },
      teacher: {
        model: { architecture: 'autoencoder', hidden: [8], bottleneck: 4, normalisation: false },
        train: { ...epochs(20), losses: [{ loss: 'reconstruction' }] },
      },
      stages: [
        {
          stage: 'distill',
          student: {
            architecture: 'autoencoder',
            hidden: [6],
            bottleneck: 4,
            normalisation: false,
          },
          ...epochs(25),
        },
        { stage: 'quantize', scheme: 'static', calibration: { samples: 64 } },
      ],
    }),
    metric: 'fidelity',
    atLeast: 1,
    metrics: ['cosine', 'psnr', 'mae', 'max-error'],
  },
  'classification of sounds': {
    slow: true,
    recipe: () => ({
      data: {
        format: 'wav',
        path: folderOf(tones),
        features: {
          audio: {
            kind: 'audio',
            rate: 8000,
            seconds: 0.25,
            frontEnd: { type: 'log-mel', convention: 'kaldi', bins: 12 },
          },
        },
      },
      teacher: {
        model: { architecture: 'ds-cnn', channels: 8, blocks: 1 },
        train: { ...epochs(10), batch: 8 },
      },
      stages: [
        {
          stage: 'distill',
          student: { architecture: 'ds-cnn', channels: 4, blocks: 1 },
          ...{ ...epochs(12), batch: 8 },
        },
        { stage: 'quantize', scheme: 'static', calibration: { samples: 16 } },
      ],
    }),
    metric: 'top1',
    atLeast: 0.7,
    metrics: ['f1-macro'],
  },
  'classification of safetensors': {
    slow: true,
    recipe: () => ({
      data: {
        format: 'safetensors',
        path: join(
          folderOf({
            'data.safetensors': safetensorsOf({
              x_train: { shape: [count, 4], values: points.flat() },
              y_train: { shape: [count], values: said.map(([first]) => first!) },
            }),
          }),
          'data.safetensors',
        ),
        target: 'y',
      },
      teacher: { model: mlp(16), train: epochs(8) },
      stages: [
        { stage: 'distill', student: mlp(4), ...epochs(8) },
        { stage: 'quantize', scheme: 'dynamic' },
      ],
    }),
    metric: 'top1',
    atLeast: 0.9,
    metrics: ['f1-macro'],
  },
}

/** Runs a case, and expects its figures, a student close to its teacher, and scores that belong to the training. */
export async function expectWholeRun(
  { recipe, metric, atLeast, metrics }: Case,
  knowledge: NonNullable<RecipeInput['benchmark']>['knowledge'] = false,
): Promise<void> {
  const asked = recipe()
  const { report, outFolder } = await wholeRun({
    ...{ seed: 1, ...asked },
    benchmark: { ...(asked.benchmark ?? quickly), knowledge },
  })
  expect(report.variants.every((variant) => !!variant.knowledge)).toBe(knowledge !== false)
  const { accuracy } = report.teacher
  expect(accuracy?.metric ?? 'top1').toBe(metric)
  expect(accuracy?.value ?? accuracy?.top1).toBeGreaterThanOrEqual(atLeast)
  expect(Object.keys(accuracy?.metrics ?? {})).toEqual(expect.arrayContaining([...metrics]))
  for (const { retention, stage, knowledge: found } of report.variants) {
    expect(retention?.accuracy).toBeGreaterThan(0.6)
    expect(retention?.agreement).toBeGreaterThan(0.5)
    // A net that learned by itself has features of its own; samples that are all alike would hide it.
    const features = found?.representation?.find(({ what }) => what === 'features')
    if (stage === 'distill' && features) expect(features.cka).toBeLessThan(0.9999)
  }
  // A score that does not belong to the training would choose any epoch.
  const epochs = report.teacher.training?.epochs ?? []
  const scores = epochs.map(({ validationAccuracy }) => validationAccuracy ?? 0)
  expect(Math.max(...scores)).toBeGreaterThan(0.3)
  const preparation = JSON.parse(readFileSync(join(outFolder, 'preparation.json'), 'utf8'))
  expect(preparation).toMatchObject({ version: 1 })
}
