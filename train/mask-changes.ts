// Changing masks in the middle of a training: when it is time, what is known then, and what it does to the vectors.
import { UserError } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import type { Slot } from './flat.ts'
import { auxiliary } from './loss-context.ts'
import type { ByWeight, Masking } from './masking.ts'
import type { Stepper } from './stepper.ts'
import { flatMask } from './update.ts'

/** What the changes of a training work with. */
interface Changing {
  readonly stepper: Stepper
  /** Updates of the whole training. */
  readonly updates: number
  /** Batches an update. */
  readonly accumulate: number
  /** The model with the weights as they are now. */
  readonly model: () => Model
  /** What the model calls what the training graph calls so. */
  readonly given: (name: string) => string
  readonly where?: string | undefined
}

/** The changes of masks in one training; what they depend on is in the vectors of its stepper. */
export class MaskChanges {
  readonly #masking: Masking
  readonly #changing: Changing
  /** Where all weights lie, by the names that they have in the model. */
  readonly #slots: readonly Slot[]

  constructor(masking: Masking, changing: Changing) {
    this.#masking = masking
    this.#changing = changing
    const { stepper, given, where = 'training' } = changing
    this.#slots = stepper.graph.weights.slots.map((slot) =>
      slot.name.startsWith(auxiliary) ? slot : { ...slot, name: given(slot.name) },
    )
    const learning = new Set(this.#slots.map(({ name }) => name))
    for (const name of masking.names)
      if (!learning.has(name))
        throw new UserError(
          `${where}: weights that stay as they are cannot be pruned little by little: '${name}' — take it out of freeze, or exclude its layer`,
        )
  }

  /** The first epoch at whose end the masks are what was asked for. */
  firstEpoch({
    stepsPerEpoch,
    options: { epochs },
  }: {
    readonly stepsPerEpoch: number
    readonly options: { readonly epochs: number }
  }): number {
    const { updates, accumulate } = this.#changing
    const settled = this.#masking.settled(updates)
    let epoch = 1
    while (epoch < epochs && Math.floor((epoch * stepsPerEpoch) / accumulate) <= settled) epoch++
    return epoch
  }

  /** True where masks change before the batch that follows so many others. */
  due(batches: number): boolean {
    const { updates, accumulate } = this.#changing
    return batches % accumulate === 0 && this.#masking.due(batches / accumulate, updates)
  }

  /** Changes them; every batch that was taken has had its step. */
  async change(batches: number): Promise<void> {
    const { stepper, updates, accumulate, model } = this.#changing
    const { vectors } = stepper
    const masks = this.#byWeight(vectors.mask!)
    const decided = await this.#masking.decide({
      ...{ update: batches / accumulate, updates, model, masks },
      weights: this.#byWeight(vectors.weights!),
      gradients: vectors.tracked_gradient && this.#byWeight(vectors.tracked_gradient),
      movement: vectors.tracked_movement && this.#byWeight(vectors.tracked_movement),
    })
    stepper.mask(flatMask(this.#slots, new Map([...masks, ...decided])))
  }

  #byWeight(vector: Float32Array): ByWeight {
    return new Map(
      this.#slots.map(({ name, offset, size }) => [name, vector.slice(offset, offset + size)]),
    )
  }
}
