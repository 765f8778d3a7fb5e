// The training loop: takes batches, lowers the rate, validates after each epoch and keeps the best one.
import { throwIfAborted, UserError } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import type { EngineOptions } from './engines/engine.ts'
import { engines } from './engines/index.ts'
import { estimateStatistics } from './estimate-statistics.ts'
import type { Quantizers } from './fake-quantize.ts'
import type { Slot } from './flat.ts'
import { type FreelyNamed, freelyNamed } from './free-names.ts'
import { auxiliary } from './loss-context.ts'
import { MaskChanges } from './mask-changes.ts'
import { rateFactor } from './schedules.ts'
import type { EpochRecord, Trained, TrainSettings } from './settings.ts'
import { copyOf, Stepper, type Vectors } from './stepper.ts'
import { withStudentNames } from './taps.ts'
import type { Definition } from './training-graph.ts'
import { withWeights } from './weights.ts'

/**
 * Trains all float32 weights of a model and gives the epoch that was best on the validation samples.
 *
 * The given model is not changed. The same settings, machine type and thread count give the same bytes, interrupted
 * or not. A loss that is not finite, or far above where it started, stops the training with a {@link UserError}.
 */
export async function train(model: Model, settings: TrainSettings): Promise<Trained> {
  const { options, seed } = settings
  const named = freelyNamed(model)
  const definition = definitionOf(named, settings)
  const engineOptions: EngineOptions = {
    provider: settings.provider,
    threads: settings.threads,
    sharesCores: settings.sharesCores ?? false,
    log: settings.log ?? (() => undefined),
  }
  const scores: number[] = []
  const updates = Math.floor((settings.stepsPerEpoch * options.epochs) / (options.accumulate ?? 1))
  const stepper = await Stepper.open({
    ...{ definition, seed, options: engineOptions },
    steps: settings.stepsPerEpoch * options.epochs,
    engine: engines[options.engine ?? 'onnx'],
    rate: (update) =>
      options.optimizer.rate * rateFactor(options.schedule, update, updates, scores),
    // Going over to several steps a run pays when many are still to come.
    mostSteps: updates < fewSteps ? 1 : Math.floor(settings.stepsPerEpoch / 2),
  })
  try {
    return await new Training(model, settings, {
      definition,
      stepper,
      scores,
      updates,
      given: named.given,
    }).run()
  } finally {
    await stepper.dispose()
  }
}

/** Trainings of fewer updates take them one by one. */
const fewSteps = 200

function definitionOf({ model, renamed }: FreelyNamed, settings: TrainSettings): Definition {
  const { options, classes, targetWidth, group, classWeights, where, sample } = settings
  const { taught, focus, unlabelled, samples, seed } = settings
  const losses = settings.losses.map((term) => withStudentNames(term, renamed))
  const masks =
    settings.masks && new Map([...settings.masks].map(([name, mask]) => [renamed(name), mask]))
  const constants = settings.constants && mapKeys(settings.constants, renamed)
  // Dimensions without a symbol go by input and axis.
  const dims =
    settings.dims &&
    mapKeys(settings.dims, (key) =>
      key.replace(/^(.*)(:\d+)$/, (_, name, axis) => renamed(name) + axis),
    )
  const groups = settings.groups?.map((found) => ({
    ...found,
    slices: found.slices.map((slice) => ({ ...slice, name: renamed(slice.name) })),
  }))
  const { batch, freeze, penalties, optimizer, clip, rates, accumulate, average } = options
  return {
    model,
    forward: {
      ...{ batch, sample, dims, constants, where, losses, freeze, penalties, groups },
      ...{ classes, targetWidth, group, classWeights, taught, focus, unlabelled, samples, seed },
      quantizers: settings.quantizers && renamedQuantizers(settings.quantizers, renamed),
      batchStatistics: options.batchNormalization !== 'freeze',
      dropout: true,
    },
    update: {
      optimizer,
      clip,
      masks,
      tracks: settings.masking?.tracks,
      rates,
      accumulate,
      average,
    },
  }
}

/** Quantizers by the names that the training graph has for their values. */
const renamedQuantizers = (
  { straight, detached, parameters, fixed, observers, momentum }: Quantizers,
  renamed: (name: string) => string,
): Quantizers => ({
  straight: straight.map(renamed),
  detached: detached.map(renamed),
  parameters: new Map([...parameters].map(([name, parameter]) => [renamed(name), parameter])),
  fixed: fixed.map(renamed),
  observers: observers.map(({ value, range }) => ({
    value: renamed(value),
    range: renamed(range),
  })),
  momentum,
})

const mapKeys = <Item>(
  items: Readonly<Record<string, Item>>,
  change: (key: string) => string,
): Record<string, Item> =>
  Object.fromEntries(Object.entries(items).map(([key, item]) => [change(key), item]))

/** What a checkpoint says besides the vectors. */
interface TrainingFacts {
  /** What the vectors mean; others are not gone on from. */
  readonly version: typeof checkpointVersion
  readonly records: readonly EpochRecord[]
  readonly bestEpoch: number
  readonly unfinished: Unfinished
  /** Mean loss of the first batches, by which an exploding one is known. */
  readonly early: readonly number[]
}

/** To be raised when the content of a state vector means something else. */
const checkpointVersion = 3

/** What an epoch under way has done: its batches, and the sum of their losses. */
interface Unfinished {
  readonly batches: number
  readonly loss: number
  readonly terms: readonly number[]
}

const nothing: Unfinished = { batches: 0, loss: 0, terms: [] }

/**
 * A loss so many times the mean of the first `earlyBatches` has exploded; of less than 1, so many times 1: a student
 * that begins as its teacher has almost none.
 */
const explosion = 1e4
const earlyBatches = 10

/** What a training works with. */
interface TrainingParts {
  readonly definition: Definition
  readonly stepper: Stepper
  readonly scores: number[]
  /** Updates of the whole training. */
  readonly updates: number
  readonly given: (name: string) => string
}

/** The earliest of the epochs with the best score, from the first that counts on; 0 where there are none. */
const epochOfBest = (records: readonly EpochRecord[], first: number): number =>
  records.reduce(
    (best, { epoch, score }) =>
      epoch >= first && score > (records[best - 1]?.score ?? Number.NEGATIVE_INFINITY)
        ? epoch
        : best,
    0,
  )

/** One training under way. */
class Training {
  readonly #model: Model
  readonly #settings: TrainSettings
  readonly #definition: Definition
  readonly #stepper: Stepper
  /** What the model calls what the training graph calls so. */
  readonly #given: (name: string) => string
  /** The validation scores of the finished epochs, which schedules may look at. */
  readonly #scores: number[]
  readonly #masks: MaskChanges | undefined
  #records: EpochRecord[] = []
  #bestEpoch = 0
  #best: Vectors
  #unfinished = nothing
  #early: number[] = []

  constructor(
    model: Model,
    settings: TrainSettings,
    { definition, stepper, scores, updates, given }: TrainingParts,
  ) {
    this.#model = model
    this.#settings = settings
    this.#given = given
    this.#definition = definition
    this.#stepper = stepper
    this.#scores = scores
    this.#best = this.#kept()
    const { masking, where } = settings
    this.#masks =
      masking &&
      new MaskChanges(masking, {
        ...{ stepper, updates, given, where },
        accumulate: settings.options.accumulate ?? 1,
        model: () => this.#asModel(this.#now()),
      })
  }

  /** All epochs that are still to do, then the best one as a model. */
  async run(): Promise<Trained> {
    const { options, checkpoint, progress, log } = this.#settings
    if (checkpoint) this.#resume(loadCheckpoint(checkpoint))
    const { epochs, stopAfter = epochs } = options
    // Before the masks are what was asked for, no epoch is good enough.
    const first = this.#masks?.firstEpoch(this.#settings) ?? 1
    for (let epoch = this.#records.length + 1; epoch <= epochs; epoch++) {
      // A training that was stopped early stays stopped when it is resumed.
      const waited = this.#records.length - Math.max(first - 1, epochOfBest(this.#records, first))
      if (waited >= stopAfter) break
      const loss = await this.#epoch(epoch)
      const terms = Array.from(this.#stepper.terms, (sum) => sum / this.#unfinished.batches)
      const score = await this.#validate()
      this.#records.push({ epoch, loss, score, ...(terms.length > 0 && { terms }) })
      this.#scores.push(score)
      this.#unfinished = nothing
      this.#stepper.terms.fill(0)
      const best = this.#records[this.#bestEpoch - 1]
      // Of equal epochs the later one has learned more; a training that waits for better ones does not count it.
      if (
        epoch >= first &&
        (!best ||
          options.keep === 'last' ||
          score > best.score ||
          (score === best.score && options.stopAfter === undefined))
      ) {
        this.#bestEpoch = epoch
        this.#best = copyOf(this.#kept())
      }
      if (checkpoint) this.#save(checkpoint)
      progress?.({ done: epoch / epochs, epoch, epochs, loss, score, samples: 0, epochDone: true })
    }
    if (this.#records.length < epochs)
      log?.(
        `stopped after epoch ${this.#records.length}: no better one since ${epochOfBest(this.#records, first)}`,
      )
    return {
      model: this.#asModel(await this.#finished(this.#best)),
      epochs: this.#records,
      bestEpoch: this.#bestEpoch,
    }
  }

  /** Takes all batches of an epoch; gives their mean loss. */
  async #epoch(epoch: number): Promise<number> {
    const { batches, stepsPerEpoch, teacher } = this.#settings
    const before = (epoch - 1) * stepsPerEpoch
    let taken = this.#unfinished.batches
    // An interrupted epoch goes on behind the batches that it has seen.
    for await (const batch of batches(epoch, taken)) {
      await this.#pause()
      if (this.#masks?.due(before + taken)) {
        this.#account(epoch, await this.#stepper.flush(), batch.size)
        await this.#masks.change(before + taken)
      }
      const taught = teacher && (await teacher(batch))
      const losses = await this.#stepper.take(before + taken, batch, taught)
      taken++
      this.#account(epoch, losses, batch.size)
    }
    this.#account(epoch, await this.#stepper.flush(), this.#settings.options.batch)
    return this.#unfinished.loss / taken
  }

  /** Adds up the losses of steps and reports them. */
  #account(epoch: number, losses: readonly number[], samples: number): void {
    const { stepsPerEpoch, options, progress } = this.#settings
    const { epochs } = options
    for (const loss of losses) {
      const { batches, loss: sum } = this.#unfinished
      this.#unfinished = { ...this.#unfinished, batches: batches + 1, loss: sum + loss }
      const number = (epoch - 1) * stepsPerEpoch + batches
      const start = this.#early.reduce((total, each) => total + each, 0) / this.#early.length
      // Without a batch before, `start` is not a number and nothing compares with it.
      if (!Number.isFinite(loss) || loss > explosion * Math.max(1, Math.abs(start)))
        throw this.#diverged(epoch, number, loss)
      if (this.#early.length < earlyBatches) this.#early.push(loss)
      const score = this.#scores.at(-1)
      progress?.({
        ...{ done: (number + 1) / (stepsPerEpoch * epochs), epoch, epochs, loss, samples },
        ...(score === undefined ? {} : { score }),
      })
    }
  }

  /** Lets timers and signals have their turn, for the native call blocks; keeps what is done when it is time to. */
  async #pause(): Promise<void> {
    const { signal, checkpoint, checkpointDue } = this.#settings
    await new Promise(setImmediate)
    if (!this.#stepper.settled) return
    if (checkpoint && (signal?.aborted || checkpointDue?.())) this.#save(checkpoint)
    throwIfAborted(signal)
  }

  #diverged(epoch: number, step: number, loss: number): UserError {
    const { where = 'training', options, checkpoint } = this.#settings
    const what = Number.isFinite(loss) ? 'the loss has exploded' : 'the loss is no longer finite'
    const epochs = this.#records.length
    const kept =
      checkpoint && epochs > 0 ? `; the state after epoch ${epochs} is kept in ${checkpoint}` : ''
    return new UserError(
      `${where}: ${what}: ${loss} at step ${step + 1} (epoch ${epoch})${kept} — lower optimizer.rate (${options.optimizer.rate}), add a warm-up, or set clip`,
    )
  }

  async #validate(): Promise<number> {
    return this.#settings.validate(this.#asModel(this.#kept()))
  }

  /** The vectors that make the model as it would be given now: weights, or their average, and statistics. */
  #kept(): Vectors {
    const { average } = this.#stepper.vectors
    return { ...this.#now(), ...(average && { weights: average }) }
  }

  /** The weights and statistics that the next step starts from. */
  #now(): Vectors {
    const { weights, statistics } = this.#stepper.vectors
    return { weights: weights!, ...(statistics ? { statistics } : {}) }
  }

  /** With statistics taken anew for the weights, where that is wanted. */
  async #finished(vectors: Vectors): Promise<Vectors> {
    const { options, batches } = this.#settings
    if (options.batchNormalization !== 're-estimate' || !vectors.statistics) return vectors
    const { weights } = vectors
    const samples = batches(1, 0)
    const statistics = await estimateStatistics(this.#definition, weights!, samples, this.#settings)
    return { weights: weights!, statistics }
  }

  #asModel({ weights, statistics }: Vectors): Model {
    const { graph } = this.#stepper
    // What losses learned for themselves is thrown away.
    const given = (slots: readonly Slot[]) =>
      slots
        .filter(({ name }) => !name.startsWith(auxiliary))
        .map((slot) => ({ ...slot, name: this.#given(slot.name) }))
    return withWeights(this.#model, [
      { slots: given(graph.weights.slots), content: weights! },
      ...(statistics ? [{ slots: given(graph.statistics.slots), content: statistics }] : []),
    ])
  }

  #save(path: string): void {
    const best = Object.entries(this.#best).map(([name, vector]) => [`best ${name}`, vector])
    saveCheckpoint<TrainingFacts>(path, {
      facts: {
        version: checkpointVersion,
        records: this.#records,
        bestEpoch: this.#bestEpoch,
        unfinished: { ...this.#unfinished, terms: [...this.#stepper.terms] },
        early: this.#early,
      },
      vectors: { ...this.#stepper.vectors, ...Object.fromEntries(best) },
    })
  }

  #resume(checkpoint: Checkpoint<TrainingFacts> | undefined): void {
    // One of another model counts as none.
    const fits = Object.entries(this.#stepper.vectors).every(
      ([name, { length }]) => checkpoint?.vectors[name]?.length === length,
    )
    if (!checkpoint || !fits || checkpoint.facts.version !== checkpointVersion) return
    const { records, bestEpoch, unfinished, early } = checkpoint.facts
    this.#records = [...records]
    this.#scores.push(...records.map(({ score }) => score))
    this.#bestEpoch = bestEpoch
    this.#unfinished = unfinished
    this.#stepper.terms.set(unfinished.terms)
    this.#early = [...early]
    this.#stepper.restore(checkpoint.vectors)
    this.#best = Object.fromEntries(
      Object.keys(this.#best).map((name) => [name, checkpoint.vectors[`best ${name}`]!]),
    )
    const within = unfinished.batches > 0 ? ` and ${unfinished.batches} batches` : ''
    this.#settings.log?.(`resumed after epoch ${this.#records.length}${within}`)
  }
}
