// The training loop: feeds batches to the training graph, lowers the rate, validates and keeps the best epoch.
import { throwIfAborted, UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import { sizeOf, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { predict, type Samples } from '../runtime/predict.ts'
import type { ProviderName } from '../runtime/providers.ts'
import { type Session, withSession } from '../runtime/session.ts'
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import { loweringFor } from './lowerings/choose.ts'
import { optimizerOf } from './optimizers.ts'
import type { LossOptions, TrainingOptions } from './options.ts'
import { rateFactor } from './schedules.ts'
import { type TrainingGraph, trainingGraph } from './training-graph.ts'
import { withWeights } from './weights.ts'

/** A batch of samples; `inputs` may be reused for the next one. */
export interface TrainingBatch {
  /** `[size, ...shape]`, row-major. */
  readonly inputs: Float32Array
  readonly labels: Int32Array
  readonly size: number
  /** Position of each sample in the data set. */
  readonly indices: Uint32Array
}

/** What one epoch came to. */
export interface EpochRecord {
  /** 1, 2, … */
  readonly epoch: number
  /** Mean loss over the epoch's steps. */
  readonly loss: number
  /** Share of right answers on the validation samples, 0..1. */
  readonly validationAccuracy: number
}

/** Everything a training needs. */
export interface TrainSettings {
  readonly options: TrainingOptions
  readonly losses: readonly LossOptions[]
  readonly classes: number
  /** The batches of an epoch, all of size `options.batch`; the same epoch gives the same batches. */
  readonly batches: (epoch: number) => Iterable<TrainingBatch>
  readonly stepsPerEpoch: number
  readonly validation: Samples & { readonly labels: Int32Array }
  /** The teacher's logits for a batch, `[size, classes]`; needed where a loss compares with a teacher. */
  readonly teacherLogits?: (batch: TrainingBatch) => Float32Array | Promise<Float32Array>
  /** By initializer: 1 where a weight learns, 0 where it stays. */
  readonly masks?: ReadonlyMap<string, Float32Array> | undefined
  readonly seed: number
  readonly threads: number
  readonly provider: ProviderName
  /** True where another session runs between the steps: spinning threads would slow it down. */
  readonly sharesCores?: boolean
  /** File of the checkpoint, written after every epoch; an interrupted training goes on from it. */
  readonly checkpoint?: string | undefined
  readonly where?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: (message: string) => void
  readonly progress?: (progress: TrainProgress) => void
}

/** Where a training is. */
export interface TrainProgress {
  readonly done: number
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  /** On the validation samples after the last whole epoch, 0..1. */
  readonly accuracy?: number
  /** Trained on since the last report. */
  readonly samples: number
  /** Set in the one report that follows an epoch's validation; loss and accuracy are those of the epoch. */
  readonly epochDone?: true
}

/** A trained model and its curve. */
export interface Trained {
  /** The model of the best epoch, in the form of the one that was given. */
  readonly model: Model
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
}

/**
 * Trains all float32 weights of a model and gives the epoch that answered best on the validation samples.
 *
 * The given model is not changed. The same settings, machine type and thread count give the same bytes, interrupted
 * or not. A loss that is not finite stops the training with a {@link UserError}.
 */
export async function train(model: Model, settings: TrainSettings): Promise<Trained> {
  const { options, losses, classes, masks, where, provider, threads } = settings
  const lowering = await loweringFor(provider, settings.log)
  const graph = await trainingGraph(
    model,
    {
      ...{ batch: options.batch, sample: settings.validation.shape, where },
      ...{ classes, losses, freeze: options.freeze, lowering },
    },
    { optimizer: options.optimizer, clip: options.clip, masks },
  )
  return withSession(
    graph.model,
    { threads, provider, spinning: !settings.sharesCores, where: 'training step' },
    (session) => new Training(model, settings, graph, session).run(),
  )
}

interface TrainingFacts {
  readonly records: readonly EpochRecord[]
  readonly bestEpoch: number
}

/** One training under way: the memory that the steps read and write. */
class Training {
  readonly #model: Model
  readonly #settings: TrainSettings
  readonly #graph: TrainingGraph
  readonly #inputs: Float32Array
  readonly #targets: Float32Array
  readonly #teacher: Float32Array | undefined
  readonly #hyper: Float32Array[]
  readonly #masks: Float32Array[]
  readonly #loss = new Float32Array(1)
  /** Vectors by name, twice: a step reads one side and writes the other. */
  readonly #sides: readonly [Record<string, Float32Array>, Record<string, Float32Array>]
  readonly #steps: readonly [() => Promise<void>, () => Promise<void>]
  #current: 0 | 1 = 0
  #records: EpochRecord[] = []
  #bestEpoch = 0
  #best: Record<string, Float32Array>

  constructor(model: Model, settings: TrainSettings, graph: TrainingGraph, session: Session) {
    this.#model = model
    this.#settings = settings
    this.#graph = graph
    const { options, classes } = settings
    const optimizer = optimizerOf(options.optimizer)
    const cells = options.batch * classes
    this.#inputs = new Float32Array(sizeOf(graph.inputDims))
    this.#targets = new Float32Array(cells)
    this.#teacher = graph.needsTeacher ? new Float32Array(cells) : undefined
    this.#hyper = optimizer.hyper(1, 1, options.optimizer).map(() => new Float32Array(1))
    this.#masks = graph.dropout.map(({ dims }) => new Float32Array(sizeOf(dims)))
    const initial: Record<string, Float32Array> = {
      weights: graph.weights.initial,
      ...Object.fromEntries(
        optimizer.state.map((_, index) => [
          `state${index}`,
          new Float32Array(graph.weights.initial.length),
        ]),
      ),
      ...(graph.statistics.initial.length > 0 ? { statistics: graph.statistics.initial } : {}),
    }
    this.#sides = [copyOf(initial), copyOf(initial)]
    this.#best = this.#kept()
    this.#steps = [this.#prepare(session, 0), this.#prepare(session, 1)]
  }

  /** All epochs that are still to do, then the best one as a model. */
  async run(): Promise<Trained> {
    const { options, checkpoint, progress } = this.#settings
    if (checkpoint) this.#resume(loadCheckpoint(checkpoint))
    for (let epoch = this.#records.length + 1; epoch <= options.epochs; epoch++) {
      const loss = await this.#epoch(epoch)
      const validationAccuracy = await this.#validate()
      this.#records.push({ epoch, loss, validationAccuracy })
      const best = this.#records[this.#bestEpoch - 1]
      if (!best || validationAccuracy >= best.validationAccuracy) {
        this.#bestEpoch = epoch
        this.#best = copyOf(this.#kept())
      }
      if (checkpoint) this.#save(checkpoint)
      const { epochs } = options
      const accuracy = validationAccuracy
      progress?.({
        done: epoch / epochs,
        epoch,
        epochs,
        loss,
        accuracy,
        samples: 0,
        epochDone: true,
      })
    }
    return {
      model: this.#asModel(this.#best),
      epochs: this.#records,
      bestEpoch: this.#bestEpoch,
    }
  }

  /** Takes all steps of an epoch; gives their mean loss. */
  async #epoch(epoch: number): Promise<number> {
    const { batches, stepsPerEpoch, options, signal, progress, teacherLogits } = this.#settings
    const steps = stepsPerEpoch * options.epochs
    const accuracy = this.#records.at(-1)?.validationAccuracy
    let sum = 0
    let count = 0
    for (const batch of batches(epoch)) {
      throwIfAborted(signal)
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      const step = (epoch - 1) * stepsPerEpoch + count
      this.#inputs.set(batch.inputs)
      this.#setTargets(batch.labels)
      if (this.#teacher && teacherLogits) this.#teacher.set(await teacherLogits(batch))
      this.#setHyper(step, steps)
      this.#setMasks(step)
      await this.#steps[this.#current]()
      this.#current = this.#current === 0 ? 1 : 0
      const loss = this.#loss[0]!
      if (!Number.isFinite(loss)) throw this.#diverged(epoch, step, loss)
      sum += loss
      count++
      progress?.({
        done: (step + 1) / steps,
        epoch,
        epochs: options.epochs,
        loss: sum / count,
        ...(accuracy === undefined ? {} : { accuracy }),
        samples: batch.size,
      })
    }
    return sum / count
  }

  #diverged(epoch: number, step: number, loss: number): UserError {
    const { where = 'training', options } = this.#settings
    return new UserError(
      `${where}: the loss is no longer finite: ${loss} at step ${step + 1} (epoch ${epoch}) — lower optimizer.rate (${options.optimizer.rate}), add a warm-up, or set clip`,
    )
  }

  #setTargets(labels: Int32Array): void {
    const { classes } = this.#settings
    this.#targets.fill(0)
    for (const [row, label] of labels.entries()) this.#targets[row * classes + label] = 1
  }

  #setHyper(step: number, steps: number): void {
    const { optimizer, schedule } = this.#settings.options
    const rate = optimizer.rate * rateFactor(schedule, step, steps)
    for (const [index, value] of optimizerOf(optimizer)
      .hyper(step + 1, rate, optimizer)
      .entries())
      this.#hyper[index]![0] = value
  }

  #setMasks(step: number): void {
    for (const [index, mask] of this.#masks.entries()) {
      const { ratio } = this.#graph.dropout[index]!
      const source = random(this.#settings.seed, 'dropout', step, index)
      for (let cell = 0; cell < mask.length; cell++)
        mask[cell] = source.uniform() < ratio ? 0 : 1 / (1 - ratio)
    }
  }

  async #validate(): Promise<number> {
    const { validation, threads, provider, signal } = this.#settings
    const { outputs, width } = await predict(this.#asModel(this.#kept()), validation, {
      threads,
      provider,
      signal,
    })
    let right = 0
    for (const [row, label] of validation.labels.entries())
      if (largest(outputs, row * width, width) === label) right++
    return right / validation.size
  }

  /** The vectors that make the model: weights and statistics. */
  #kept(): Record<string, Float32Array> {
    const { weights, statistics } = this.#sides[this.#current]
    return { weights: weights!, ...(statistics ? { statistics } : {}) }
  }

  #asModel({ weights, statistics }: Record<string, Float32Array>): Model {
    return withWeights(this.#model, [
      { slots: this.#graph.weights.slots, content: weights! },
      ...(statistics ? [{ slots: this.#graph.statistics.slots, content: statistics }] : []),
    ])
  }

  #save(path: string): void {
    const vectors = {
      ...this.#sides[this.#current],
      ...Object.fromEntries(
        Object.entries(this.#best).map(([name, best]) => [`best ${name}`, best]),
      ),
    }
    saveCheckpoint<TrainingFacts>(path, {
      facts: { records: this.#records, bestEpoch: this.#bestEpoch },
      vectors,
    })
  }

  #resume(checkpoint: Checkpoint<TrainingFacts> | undefined): void {
    // One of another model counts as none.
    const fits = Object.entries(this.#sides[this.#current]).every(
      ([name, { length }]) => checkpoint?.vectors[name]?.length === length,
    )
    if (!checkpoint || !fits) return
    this.#records = [...checkpoint.facts.records]
    this.#bestEpoch = checkpoint.facts.bestEpoch
    for (const [name, vector] of Object.entries(this.#sides[this.#current]))
      vector.set(checkpoint.vectors[name]!)
    this.#best = Object.fromEntries(
      Object.keys(this.#best).map((name) => [name, checkpoint.vectors[`best ${name}`]!]),
    )
    this.#settings.log?.(`resumed after epoch ${this.#records.length}`)
  }

  /** Binds a step that reads one side and writes the other. */
  #prepare(session: Session, side: 0 | 1): () => Promise<void> {
    const { inputName, inputDims, dropout } = this.#graph
    const { options, classes } = this.#settings
    const matrix = [options.batch, classes]
    const feeds: Record<string, Tensor> = {
      [inputName]: tensorOf('float32', inputDims, this.#inputs),
      targets: tensorOf('float32', matrix, this.#targets),
      ...(this.#teacher ? { teacher: tensorOf('float32', matrix, this.#teacher) } : {}),
    }
    for (const [index, value] of this.#hyper.entries())
      feeds[`hyper${index}`] = tensorOf('float32', [], value)
    for (const [index, { name, dims }] of dropout.entries())
      feeds[name] = tensorOf('float32', dims, this.#masks[index]!)
    const fetches: Record<string, Tensor> = { loss: tensorOf('float32', [], this.#loss) }
    const [from, to] = side === 0 ? this.#sides : [this.#sides[1], this.#sides[0]]
    for (const [name, vector] of Object.entries(from))
      feeds[name] = tensorOf('float32', [vector.length], vector)
    for (const [name, vector] of Object.entries(to))
      fetches[`${name}_next`] = tensorOf('float32', [vector.length], vector)
    return session.prepare(feeds, fetches)
  }
}

const copyOf = (vectors: Record<string, Float32Array>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, vector.slice()]))

/** The position of the largest of `width` values from `start` on. */
function largest(values: Float32Array, start: number, width: number): number {
  let best = 0
  for (let index = 1; index < width; index++)
    if (values[start + index]! > values[start + best]!) best = index
  return best
}
