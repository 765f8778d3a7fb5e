// Models as measures see them: what a measuring process can be asked of a model, each thing once.
import { join } from 'node:path'
import { hashOf } from '../../base/hash.ts'
import type { Predictions, Truth } from '../../tasks/task.ts'
import { CellFailure } from '../cell-process.ts'
import { type Cells, isOpen } from '../cells.ts'
import { openPredictions, type PredictionsFile } from '../predictions-file.ts'
import type { CommandName, ReplyOf, RequestOf } from '../protocol.ts'
import type { ProviderContext } from '../provider.ts'
import type { Findings, ValuePair } from '../subject.ts'
import type { AttackPlan } from './attack.ts'
import type { Change, InputFacts } from './changes.ts'
import type { GradientOf } from './gradients.ts'

/** A model that is observed: each observation is made once, when it is first asked for. */
export interface Observed {
  readonly id: string
  /** Values to be compared with the teacher's, besides the penultimate features and the outputs. */
  readonly taps: readonly ValuePair[]
  /** Outputs for all test samples, on the scale of the task. */
  readonly predictions: Predictions
  readonly normalise: Findings['normalise']
  /** Penultimate features, or a value by name, in the random order of `Scene.shuffled`. */
  features(value?: string): Promise<PredictionsFile>
  /** The gradient of one number a sample by the column that is changed. */
  gradients(of: GradientOf): Promise<PredictionsFile>
  /** What leads the model astray within a bound: for each sample so much of `size` by the column, -1..1. */
  attack(bound: Bound): Promise<PredictionsFile>
  /** Outputs for changed samples; the name tells changes apart. */
  under(change: Change, name: string): Promise<PredictionsFile>
}

/** How far samples may be moved, in how many steps; the name tells bounds apart. */
export interface Bound extends Pick<AttackPlan, 'size' | 'steps'> {
  readonly name: string
}

/** What all models are observed with. */
export interface Scene {
  readonly context: ProviderContext
  /** Numbers of the samples that stand for all. */
  readonly indices: Uint32Array
  /** As many, one by one and not in groups, in random order: for what compares samples with each other. */
  readonly shuffled: Uint32Array
  /** What is true of them. */
  readonly truth: Truth
  /** The column to be changed, or why there is none. */
  readonly facts: InputFacts | string
}

/** Why a measure has no number. */
export class Unmeasured extends Error {
  override readonly name = 'Unmeasured'
}

/** A model in its process. */
export function observe(
  {
    subject: { id, taps = [] },
    predictions,
    normalise,
  }: Findings & { readonly predictions: Predictions },
  cells: Cells,
  { context, indices, shuffled, truth, facts }: Scene,
): Observed {
  const { task, workFolder, data } = context
  const known = new Map<string, Promise<unknown>>()
  const once = <Name extends CommandName>(
    key: string,
    command: Name,
    request: (path: string) => RequestOf<Name>,
  ): Promise<ReplyOf<Name>> => {
    const before = known.get(key)
    if (before) return before as Promise<ReplyOf<Name>> // made under the same key
    const path = join(workFolder, `${hashOf([id, key]).slice(0, 16)}.predictions`)
    const cell = cells.get(id)
    const made = isOpen(cell)
      ? cell.process.ask(command, request(path))
      : Promise.reject(cell ?? new CellFailure('it was not opened'))
    known.set(key, made)
    return made
  }
  const gradientsOf = (of: GradientOf) => {
    if (typeof facts === 'string') throw new Unmeasured(facts)
    const labels = Int32Array.from(truth.labels)
    const temperature = of === 'largest' ? 1 : temperatureOf(predictions, indices)
    const { column } = facts
    return { of, temperature, column, indices, labels, classes: data.classes.length }
  }
  return {
    taps,
    ...{ id, predictions, normalise },
    features: (value) =>
      once(`features ${value ?? ''}`, 'features', (path) => ({ path, value, indices: shuffled })),
    async gradients(of) {
      const asked = gradientsOf(of)
      return await once(`gradients ${of}`, 'gradients', (path) => ({ path, ...asked }))
    },
    async attack({ name, ...bound }) {
      const asked = { ...gradientsOf('cross-entropy'), ...bound, seed: context.seed }
      return await once(`attack ${name}`, 'attack', (path) => ({ path, ...asked }))
    },
    under: (change, name) =>
      once(`under ${name}`, 'predictChanged', (path) => ({
        ...{ path, indices, change },
        outputs: task.outputs,
      })),
  }
}

/** The largest median distance of the two largest logits at which cross-entropy still has a gradient nearly everywhere. */
const bearableMargin = 8

/** What logits must be divided by so that half of the answers for these samples are no surer than that; 1 where they are. */
export function temperatureOf({ row }: Predictions, indices: Uint32Array): number {
  const margins = Float64Array.from(indices, (index) => {
    const [first = 0, second = 0] = [...row(index)].sort((a, b) => b - a)
    return first - second
  }).sort()
  const median = margins[Math.floor(margins.length / 2)]!
  return Number.isFinite(median) ? Math.max(1, median / bearableMargin) : 1
}

/** Opens two files, compares them, and closes them. */
export function withOpen<Result>(
  [one, other]: readonly [PredictionsFile, PredictionsFile],
  use: (one: Predictions, other: Predictions) => Result,
): Result {
  const first = openPredictions(one)
  try {
    const second = openPredictions(other)
    try {
      return use(first, second)
    } finally {
      second.close()
    }
  } finally {
    first.close()
  }
}
