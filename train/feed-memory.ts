// The memory from which a training graph reads what is fed: written batch by batch, bound once.
import { UserError } from '../base/errors.ts'
import { type Random, random } from '../base/random.ts'
import { byteLengthOf, sizeOf, Tensor } from '../onnx/tensor.ts'
import type { Feed, Feeds } from './forward.ts'
import type { Draw } from './loss-context.ts'
import { writeOneHot } from './one-hot.ts'
import { valueAt } from './scheduled.ts'
import type { TrainingBatch } from './settings.ts'

/** Where a training is: batch `step` of `steps`, counted over all epochs. */
export interface Moment {
  readonly seed: number
  readonly step: number
  readonly steps: number
}

/** Room for what some steps are fed, one slot a step. */
export class FeedMemory {
  readonly #feeds: Feeds
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #all: readonly Feed[]

  constructor(feeds: Feeds, slots: number) {
    this.#feeds = feeds
    this.#all = allOf(feeds)
    for (const { name, dtype, dims } of this.#all)
      this.#bytes.set(name, new Uint8Array(slots * byteLengthOf(dtype, dims)))
  }

  /** The bytes of one slot. */
  static bytesOf(feeds: Feeds): number {
    return allOf(feeds).reduce((sum, { dtype, dims }) => sum + byteLengthOf(dtype, dims), 0)
  }

  /** Copies a batch and what the teacher says of it into a slot. */
  write(slot: number, batch: TrainingBatch, taught: readonly Float32Array[] | undefined): void {
    const { inputs, targets, values, indices, teacher } = this.#feeds
    for (const [index, feed] of inputs.entries()) this.#put(slot, feed, batch.inputs[index])
    if (targets) {
      const [rows, classes] = targets.dims as readonly [number, number]
      if (batch.labels?.length !== rows || (batch.mix && batch.mix.shares.length !== rows))
        throw new Error(`internal: a loss on ${rows} labels, not ${batch.labels?.length ?? 'any'}`)
      writeOneHot(batch.labels, classes, this.#floats(slot, targets), batch.mix)
    }
    if (values) this.#put(slot, values, batch.values)
    if (indices) this.#put(slot, indices, BigInt64Array.from(batch.indices, BigInt))
    for (const [output, feed] of teacher) {
      const said = taught?.[output]
      if (said && said.length !== sizeOf(feed.dims))
        throw new UserError(
          `the teacher's output ${output} does not fit the student's: ${said.length} numbers a batch, the student's [${feed.dims}] has ${sizeOf(feed.dims)} — use a student with the teacher's outputs, or a loss without it`,
        )
      this.#put(slot, feed, said)
    }
  }

  /** Draws the random numbers of a step, which depend on the seed and the step alone, and writes those that change. */
  draw(slot: number, { seed, step, steps }: Moment): void {
    const { draws, numbers } = this.#feeds
    for (const [index, feed] of draws.entries())
      drawInto(this.#slot(slot, feed), feed.draw, random(seed, 'dropout', step, index))
    for (const feed of numbers)
      this.#floats(slot, feed)[0] = valueAt(feed.number, Math.min(1, step / Math.max(1, steps - 1)))
  }

  /** Copies a slot of another memory for the same feeds to the first slot. */
  copyFrom(other: FeedMemory, slot: number): void {
    for (const feed of this.#all) this.#slot(0, feed).set(other.#slot(slot, feed))
  }

  /** Tensors over the memory: of the first slot as a step reads it, or of `slots` with an axis in front. */
  tensors(slots?: number): Record<string, Tensor> {
    return Object.fromEntries(
      this.#all.map((feed) => {
        const { name, dtype, dims } = feed
        return slots === undefined
          ? [name, new Tensor(dtype, dims, this.#slot(0, feed))]
          : [name, new Tensor(dtype, [slots, ...dims], this.#bytes.get(name)!)]
      }),
    )
  }

  #put(slot: number, feed: Feed, content: ArrayBufferView | undefined): void {
    const into = this.#slot(slot, feed)
    if (content?.byteLength !== into.byteLength)
      throw new Error(
        `internal: '${feed.name}' [${feed.dims}] needs ${into.byteLength} bytes: ${content?.byteLength}`,
      )
    into.set(new Uint8Array(content.buffer, content.byteOffset, content.byteLength))
  }

  #slot(slot: number, { name, dtype, dims }: Feed): Uint8Array {
    const length = byteLengthOf(dtype, dims)
    return this.#bytes.get(name)!.subarray(slot * length, (slot + 1) * length)
  }

  #floats(slot: number, feed: Feed): Float32Array<ArrayBuffer> {
    const bytes = this.#slot(slot, feed)
    return new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, sizeOf(feed.dims))
  }
}

/** Fills memory with random numbers. */
function drawInto(bytes: Uint8Array, draw: Draw, source: Random): void {
  const { buffer, byteOffset } = bytes
  if (draw.kind === 'integer') {
    const whole = new BigInt64Array(buffer, byteOffset, bytes.length / 8)
    for (let cell = 0; cell < whole.length; cell++) whole[cell] = BigInt(source.integer(draw.below))
    return
  }
  const floats = new Float32Array(buffer, byteOffset, bytes.length / 4)
  const next = {
    normal: () => source.normal(),
    uniform: () => source.uniform(),
    dropout: () =>
      draw.kind !== 'dropout' || source.uniform() < draw.ratio ? 0 : 1 / (1 - draw.ratio),
  }[draw.kind]
  for (let cell = 0; cell < floats.length; cell++) floats[cell] = next()
}

const allOf = (feeds: Feeds): Feed[] => {
  const { inputs, targets, values, indices, teacher, draws, numbers } = feeds
  const some = [targets, values, indices].filter((feed) => feed !== undefined)
  return [...inputs, ...some, ...teacher.values(), ...draws, ...numbers]
}
