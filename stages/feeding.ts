// What a training is fed with: a data set's batches as the inputs of one model, and its targets as losses want them.
import type { SampleColumn } from '../base/samples.ts'
import type { Batch, Dataset } from '../data/dataset.ts'
import type { Graph } from '../onnx/graph.ts'
import { byteLengthOf, Tensor } from '../onnx/tensor.ts'
import { bindInputs, constantTensor, freeDims } from '../runtime/bind.ts'
import { writeNumbers } from '../runtime/convert.ts'
import type { ValueInfo } from '../runtime/session.ts'
import type { Task } from '../tasks/task.ts'
import type { TrainingBatch, TrainSettings } from '../train/settings.ts'

/** A batch of a data set as a training takes it, and the batch itself, for whoever teaches. */
export interface FedBatch extends TrainingBatch {
  readonly batch: Batch
}

/** How a model is fed in training. */
export interface Feeding
  extends Pick<TrainSettings, 'dims' | 'constants' | 'classes' | 'targetWidth' | 'group'> {
  /** The columns of the data that the model reads, by position. */
  readonly columns: readonly number[]
  /** Turns batches of `size` samples into what a training takes. */
  batches(batches: Iterable<Batch> | AsyncIterable<Batch>): AsyncIterable<FedBatch>
}

/** What a graph says of its inputs. */
export const inputsOf = ({ feeds }: Graph): ValueInfo[] =>
  feeds.map(({ name, type }) => ({
    name,
    dtype: type?.dtype ?? 'float32',
    shape: type?.shape ?? [],
  }))

/**
 * Works out how batches of `size` samples become the inputs of a model.
 *
 * Samples that do not fit the model are a `UserError`.
 */
export function feedingOf(
  graph: Graph,
  data: Dataset,
  { target }: Pick<Task, 'target'>,
  size: number,
  where = 'model',
): Feeding {
  const inputs = inputsOf(graph)
  const binding = bindInputs(inputs, data, where)
  const constants = new Map(
    binding.constants.map((input) => [input.name, constantTensor(input, size, where)]),
  )
  // Batches leave the constants out; everything else comes in the order of the graph.
  const fed = inputs.flatMap(({ name }) => {
    const input = binding.columns.find((column) => column.name === name)
    return input ? [{ ...input, memory: memoryFor(input, data.columns[input.column]!, size) }] : []
  })
  return {
    columns: [...new Set(fed.map(({ column }) => column))],
    dims: freeDims(inputs, binding, size),
    constants: Object.fromEntries(constants),
    classes: data.classes.length > 0 ? data.classes.length : undefined,
    targetWidth: data.targetWidth > 0 ? data.targetWidth : undefined,
    group: data.group,
    async *batches(batches) {
      for await (const batch of batches) {
        const { size, indices, mix } = batch
        yield {
          ...{ size, indices, batch },
          ...(mix && { mix }),
          ...targetsFor[target](batch),
          inputs: fed.map(({ column, memory }) => {
            const values = batch.columns[column]!
            if (!memory) return values
            writeNumbers(memory, values)
            return memory.bytes
          }),
        }
      }
    },
  }
}

/** Memory for a column whose numbers have another type than the input. */
function memoryFor(
  { dtype, shape }: { readonly dtype: ValueInfo['dtype']; readonly shape: readonly number[] },
  column: SampleColumn,
  size: number,
): Tensor | undefined {
  if (dtype === column.dtype) return undefined
  const dims = [size, ...shape]
  return new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
}

/** What losses compare with, by what the task needs to know of each sample. */
const targetsFor: Readonly<
  Record<Task['target'], (batch: Batch) => Pick<TrainingBatch, 'labels' | 'values'>>
> = {
  class: ({ labels }) => ({ labels }),
  tags: ({ targets }) => ({ labels: Int32Array.from(targets) }),
  classes: ({ targets }) => ({ values: targets }),
  values: ({ targets }) => ({ values: targets }),
  relevance: ({ targets }) => ({ values: targets }),
  none: () => ({}),
}
