// What an engine is: something that runs the graphs of a training.
import type { Tensor } from '../../onnx/tensor.ts'
import type { ProviderName } from '../../runtime/providers.ts'
import type { Changes, Definition, Tail, TrainingGraph } from '../training-graph.ts'

/** How an engine runs. */
export interface EngineOptions {
  readonly provider: ProviderName
  readonly threads: number
  /** True where another session runs between the steps: spinning threads would slow it down. */
  readonly sharesCores: boolean
  readonly log: (message: string) => void
}

/** Something that is ready to run. */
export interface Runner {
  /** Binds memory once for many runs: each call reads the feeds' bytes as they are then and overwrites the fetches'. */
  prepare(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: Readonly<Record<string, Tensor>>,
  ): () => Promise<unknown>
  dispose(): Promise<void>
}

/** A runner of steps, and what its graph reads and changes. */
export interface StepRunner extends Runner {
  readonly graph: TrainingGraph
  /** The same, so many steps a run, where the engine can; what is fed has another axis in front. */
  readonly repeated?: (count: number) => Promise<Runner>
}

/** One way to run a training. */
export interface Engine {
  /** From a batch to the loss and the next vectors. */
  step(definition: Definition, tail: Tail, options: EngineOptions): Promise<StepRunner>
  /** From the sum of gradients, fed as `gradient`, to the next weights and optimizer state. */
  update(
    definition: Definition,
    options: EngineOptions,
  ): Promise<Runner & { readonly graph: Changes }>
}
