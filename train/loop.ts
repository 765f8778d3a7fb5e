// The training loop: feeds batches to the training graph, lowers the rate, validates and keeps the best epoch.
import { throwIfAborted, UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import { sizeOf, type Tensor, tensorOf } from '../onnx/tensor.ts'
import { predict } from '../runtime/predict.ts'
import { type Session, withSession } from '../runtime/session.ts'
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import { loweringFor } from './lowerings/choose.ts'
import { writeOneHot } from './one-hot.ts'
import { optimizerOf } from './optimizers.ts'
import { rateFactor } from './schedules.ts'
import type { EpochRecord, Trained, TrainSettings } from './settings.ts'
import { type TrainingGraph, trainingGraph } from './training-graph.ts'
import { withWeights } from './weights.ts'

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

/** What a checkpoint says besides the vectors. */
interface TrainingFacts {
  readonly records: readonly EpochRecord[]
  readonly bestEpoch: number
  readonly unfinished: Unfinished
}

/** What an epoch under way has done: its steps, and the sum of their losses. */
interface Unfinished {
  readonly steps: number
  readonly loss: number
}

const nothing: Unfinished = { steps: 0, loss: 0 }

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
  #unfinished = nothing
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
      this.#unfinished = nothing
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
    const { batches, classes, stepsPerEpoch, options, progress, teacherLogits } = this.#settings
    const steps = stepsPerEpoch * options.epochs
    const accuracy = this.#records.at(-1)?.validationAccuracy
    const done = this.#unfinished.steps
    let sum = this.#unfinished.loss
    let count = 0
    for (const batch of batches(epoch)) {
      // An interrupted epoch goes on behind the batches that it has seen.
      if (count < done) {
        count++
        continue
      }
      this.#unfinished = { steps: count, loss: sum }
      await this.#pause()
      const step = (epoch - 1) * stepsPerEpoch + count
      this.#inputs.set(batch.inputs)
      writeOneHot(batch.labels, classes, this.#targets)
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

  /** Lets timers and signals have their turn, for the native call blocks; keeps what is done when it is time to. */
  async #pause(): Promise<void> {
    const { signal, checkpoint, checkpointDue } = this.#settings
    await new Promise(setImmediate)
    if (checkpoint && (signal?.aborted || checkpointDue?.())) this.#save(checkpoint)
    throwIfAborted(signal)
  }

  #diverged(epoch: number, step: number, loss: number): UserError {
    const { where = 'training', options } = this.#settings
    return new UserError(
      `${where}: the loss is no longer finite: ${loss} at step ${step + 1} (epoch ${epoch}) — lower optimizer.rate (${options.optimizer.rate}), add a warm-up, or set clip`,
    )
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
      facts: {
        records: this.#records,
        bestEpoch: this.#bestEpoch,
        unfinished: this.#unfinished,
      },
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
    this.#unfinished = checkpoint.facts.unfinished
    for (const [name, vector] of Object.entries(this.#sides[this.#current]))
      vector.set(checkpoint.vectors[name]!)
    this.#best = Object.fromEntries(
      Object.keys(this.#best).map((name) => [name, checkpoint.vectors[`best ${name}`]!]),
    )
    const { steps } = this.#unfinished
    const within = steps > 0 ? ` and ${steps} steps` : ''
    this.#settings.log?.(`resumed after epoch ${this.#records.length}${within}`)
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
