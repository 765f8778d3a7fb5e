// Taking steps: the vectors of a training, and the runs of an engine that change them.
import { type Tensor, tensorOf } from '../onnx/tensor.ts'
import type { Engine, EngineOptions, Runner, StepRunner } from './engines/engine.ts'
import { FeedMemory } from './feed-memory.ts'
import type { TrainingBatch } from './settings.ts'
import type { Changes, Definition, TrainingGraph } from './training-graph.ts'
import { hyperOf, mask } from './update.ts'

/** Flat vectors by name: the weights, the optimizer's memory, running statistics. */
export type Vectors = Readonly<Record<string, Float32Array>>

/** What the steps of a training need besides their batches. */
export interface StepperSettings {
  readonly definition: Definition
  readonly engine: Engine
  readonly options: EngineOptions
  readonly seed: number
  /** Batches of the whole training. */
  readonly steps: number
  /** The learning rate of update 0, 1, …, asked for when its batch is taken. */
  readonly rate: (update: number) => number
  /** Steps that a run may hold at most, where steps are short; 1 takes them one by one. */
  readonly mostSteps: number
}

type Run = () => Promise<unknown>

/** Steps shorter than this are taken several a run, in ms. */
const shortStep = 15
/** How long such a run should take, in ms. */
const runLength = 60
/** Memory for what several steps are fed at most, in bytes. */
const mostFed = 64 * 2 ** 20
/** Steps at the start that are not timed, and those that are. */
const [untimed, timed] = [3, 5]

/** A training under way: takes batches, changes the vectors. */
export class Stepper {
  /** Valid between two calls of `take` and `flush`. */
  readonly vectors: Vectors
  /** The weighted terms of the loss, each added up over all steps since it was last set to zero; empty for one term. */
  readonly terms: Float64Array
  readonly #settings: StepperSettings
  readonly #accumulate: number
  readonly #step: StepRunner
  readonly #update: Runner | undefined
  readonly #runStep: Run
  readonly #runUpdate: Run | undefined
  readonly #memory: FeedMemory
  readonly #loss = new Float32Array(1)
  readonly #terms: Float32Array
  readonly #hyper: readonly Float32Array[]
  /** Durations of the first steps; undefined once it is decided whether to take several a run. */
  #times: number[] | undefined = []
  #several: Several | undefined

  private constructor(
    settings: StepperSettings,
    step: StepRunner,
    update: (Runner & { readonly graph: Changes }) | undefined,
  ) {
    this.#settings = settings
    this.#step = step
    this.#update = update
    this.#accumulate = settings.definition.update.accumulate ?? 1
    this.vectors = copyOf({
      ...update?.graph.vectors,
      ...step.graph.vectors,
      ...update?.graph.held,
      ...step.graph.held,
    })
    this.#hyper = hyperOf(settings.definition.update, 1, 1).map(() => new Float32Array(1))
    this.#memory = new FeedMemory(step.graph.feeds, 1)
    const hyper = Object.fromEntries(
      this.#hyper.map((value, index) => [`hyper${index}`, tensorOf('float32', [], value)]),
    )
    const { weights, accumulated } = this.vectors
    const { terms } = step.graph
    this.#terms = new Float32Array(terms > 1 ? terms : 0)
    this.terms = new Float64Array(this.#terms.length)
    this.#runStep = this.#bind(
      step,
      step.graph,
      { ...this.#memory.tensors(), weights: flat(weights!), ...(update ? {} : hyper) },
      {
        loss: tensorOf('float32', [], this.#loss),
        ...(terms > 1 && { terms: flat(this.#terms) }),
      },
    )
    this.#runUpdate =
      update && this.#bind(update, update.graph, { ...hyper, gradient: flat(accumulated!) }, {})
  }

  /** Opens the engine; `accumulate` of the definition decides how many batches make an update. */
  static async open(settings: StepperSettings): Promise<Stepper> {
    const { definition, engine } = settings
    const several = (definition.update.accumulate ?? 1) > 1
    const options = several ? { ...settings.options, sharesCores: true } : settings.options
    const step = await engine.step(definition, several ? 'accumulate' : 'update', options)
    try {
      return new Stepper(
        settings,
        step,
        several ? await engine.update(definition, options) : undefined,
      )
    } catch (thrown) {
      await step.dispose()
      throw thrown
    }
  }

  /** What the graph of a step reads and changes. */
  get graph(): TrainingGraph {
    return this.#step.graph
  }

  /** True where no batch that was taken waits for its step. */
  get settled(): boolean {
    return (this.#several?.waiting.length ?? 0) === 0
  }

  /** Takes the batch with a number (counted over all epochs) and gives the losses of the steps that were run now. */
  async take(
    number: number,
    batch: TrainingBatch,
    taught: readonly Float32Array[] | undefined,
  ): Promise<readonly number[]> {
    const several = this.#several
    const slot = several?.waiting.length ?? 0
    const memory = several?.memory ?? this.#memory
    memory.write(slot, batch, taught)
    const { seed, steps } = this.#settings
    memory.draw(slot, { seed, steps, step: number })
    if (!several) return [await this.#single(number)]
    this.#writeHyper(number, several.hyper, slot)
    several.waiting.push(number)
    if (several.waiting.length < several.count) return []
    several.waiting.splice(0)
    await several.run()
    this.#addTerms(several.terms)
    return [...several.losses]
  }

  /** Runs the steps that wait and gives their losses. */
  async flush(): Promise<readonly number[]> {
    const several = this.#several
    const losses: number[] = []
    for (const [slot, number] of several?.waiting.splice(0).entries() ?? []) {
      this.#memory.copyFrom(several!.memory, slot)
      losses.push(await this.#single(number))
    }
    return losses
  }

  /** Goes on with other vectors. */
  restore(vectors: Vectors): void {
    for (const [name, vector] of Object.entries(this.vectors)) vector.set(vectors[name]!)
  }

  /** Lets weights die or live from now on: 1 where one lives; needs masks that may change. */
  mask(flags: Float32Array): void {
    mask(this.vectors, flags)
  }

  /** Frees the engine's memory. */
  async dispose(): Promise<void> {
    await this.#step.dispose()
    await this.#update?.dispose()
    await this.#several?.runner.dispose()
  }

  async #single(number: number): Promise<number> {
    const start = performance.now()
    if (!this.#runUpdate) this.#writeHyper(number, this.#hyper, 0)
    await this.#runStep()
    const done = number + 1
    if (this.#runUpdate && done % this.#accumulate === 0) {
      this.#writeHyper(done / this.#accumulate - 1, this.#hyper, 0)
      await this.#runUpdate()
      this.vectors.accumulated!.fill(0)
    }
    const loss = this.#loss[0]!
    this.#addTerms(this.#terms)
    await this.#consider(performance.now() - start)
    return loss
  }

  #addTerms(terms: Float32Array): void {
    for (const [index, term] of terms.entries()) this.terms[index % this.terms.length]! += term
  }

  #writeHyper(update: number, into: readonly Float32Array[], slot: number): void {
    const { definition, rate } = this.#settings
    for (const [index, value] of hyperOf(definition.update, update + 1, rate(update)).entries())
      into[index]![slot] = value
  }

  /** Times the first steps and goes over to several a run where they are short; the results are the same bytes. */
  async #consider(milliseconds: number): Promise<void> {
    const times = this.#times
    if (!times) return
    times.push(milliseconds)
    if (times.length < untimed + timed) return
    this.#times = undefined
    const typical = times.slice(untimed).sort((a, b) => a - b)[timed >> 1]!
    const { graph, repeated } = this.#step
    if (typical >= shortStep || !repeated || this.#runUpdate) return
    const count = Math.min(
      Math.ceil(runLength / typical),
      Math.floor(mostFed / FeedMemory.bytesOf(graph.feeds)),
      this.#settings.mostSteps,
    )
    if (count < 2) return
    const runner = await repeated(count)
    const memory = new FeedMemory(graph.feeds, count)
    const losses = new Float32Array(count)
    const terms = new Float32Array(count * this.#terms.length)
    const hyper = this.#hyper.map(() => new Float32Array(count))
    const feeds = Object.fromEntries(hyper.map((values, index) => [`hyper${index}`, flat(values)]))
    const run = this.#bind(
      runner,
      graph,
      { ...memory.tensors(count), ...feeds, weights: flat(this.vectors.weights!) },
      {
        loss: flat(losses),
        ...(terms.length > 0 && {
          terms: tensorOf('float32', [count, this.#terms.length], terms),
        }),
      },
    )
    this.#several = { count, runner, memory, losses, terms, hyper, run, waiting: [] }
  }

  /** Binds a run that reads what is fed and the vectors, and brings the next vectors to where they were. */
  #bind(
    runner: Runner,
    { vectors, held, inPlace }: Changes,
    fed: Readonly<Record<string, Tensor>>,
    fetched: Readonly<Record<string, Tensor>>,
  ): Run {
    const feeds: Record<string, Tensor> = { ...fed }
    const fetches: Record<string, Tensor> = { ...fetched }
    for (const name of Object.keys(held)) feeds[name] = flat(this.vectors[name]!)
    const copies: (readonly [from: Float32Array, to: Float32Array])[] = []
    for (const name of Object.keys(vectors)) {
      const vector = this.vectors[name]!
      const next = inPlace.has(name) ? vector : new Float32Array(vector.length)
      if (next !== vector) copies.push([next, vector])
      feeds[name] = flat(vector)
      fetches[`${name}_next`] = flat(next)
    }
    const run = runner.prepare(feeds, fetches)
    return async () => {
      await run()
      for (const [from, to] of copies) to.set(from)
    }
  }
}

/** Several steps a run: memory for what they are fed, and the batches that wait for it to be full. */
interface Several {
  readonly count: number
  readonly runner: Runner
  readonly memory: FeedMemory
  readonly losses: Float32Array
  readonly terms: Float32Array
  readonly hyper: readonly Float32Array[]
  readonly run: Run
  readonly waiting: number[]
}

const flat = (vector: Float32Array): Tensor => tensorOf('float32', [vector.length], vector)

/** Vectors of the same content. */
export const copyOf = (vectors: Vectors): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, vector.slice()]))
