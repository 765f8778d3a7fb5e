// The form of a model that a training works on: models that carry state from chunk to chunk are unrolled over them.
import { UserError } from '../base/errors.ts'
import type { InputSource, Samples } from '../base/samples.ts'
import type { Dataset } from '../data/dataset.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Model } from '../onnx/graph.ts'
import { hoistWeights, unroll } from '../onnx/passes/unroll.ts'
import { bindInputs } from '../runtime/bind.ts'
import { inputsOf } from './feeding.ts'

/** A model that can be trained on whole samples, and the way back to its own form. */
export interface Trainable {
  readonly model: Model
  /** The samples as this form takes them. */
  samples(data: Dataset): Dataset
  /** The model in its own form with the weights of this one. */
  restore(trained: Model): Model
}

/** Nodes that an unrolled model may have: gradients are several times as many. */
const mostNodes = 50_000

/**
 * Gives the form of a model that can be trained on these samples: mostly the model itself.
 *
 * A model that is fed in chunks, or carries state, is written out over all chunks of a sample; its gradient then goes
 * back through all of them (backpropagation through time; Werbos 1990). A sample of too many chunks is a `UserError`.
 */
export function trainable(
  model: Model,
  samples: Pick<Samples, 'columns' | 'inputs'>,
  where = 'model',
): Trainable {
  const { carried, columns, steps } = bindInputs(inputsOf(model.graph), samples, where)
  if (carried.length === 0 && steps === 1)
    return { model, samples: (data) => data, restore: (trained) => trained }
  const nodes = steps * model.graph.nodes.length
  if (nodes > mostNodes)
    throw new UserError(
      `${where}: a sample is fed in ${steps} chunks, which is too long to be trained on: ${nodes} nodes, of at most ${mostNodes} — use shorter samples`,
    )
  const chunks = columns.flatMap(({ name, column }) => {
    const source = samples.inputs?.[name]
    if (!source || !('column' in source) || source.chunk === undefined) return []
    return [{ name, chunk: (samples.columns[column]!.shape.at(-1) ?? 1) / steps }]
  })
  return {
    model: unroll(
      model,
      {
        steps,
        inputs: chunks,
        carried: carried.map(({ name, output }) => ({ input: name, output })),
      },
      where,
    ),
    samples: (data) => {
      const inputs = whole(data.inputs)
      return { ...data, inputs, recipe: { ...data.recipe, inputs } }
    },
    restore(trained) {
      const copy = cloneModel(model)
      hoistWeights(copy)
      takeWeights(copy, trained)
      return copy
    },
  }
}

/** Gives the initializers of a model, in place, what those of the same name and shape hold in another one. */
export function takeWeights({ graph }: Model, trained: Model): void {
  const weights = new Map([...trained.graph.initializers].map(({ name, tensor }) => [name, tensor]))
  for (const value of graph.initializers) {
    const tensor = weights.get(value.name)
    if (!tensor || tensor.dtype !== value.tensor?.dtype) continue
    if (String(tensor.dims) === String(value.tensor.dims)) value.tensor = tensor
  }
}

/** The mapping of a model that takes whole samples: nothing is cut, nothing is carried. */
function whole(inputs: Dataset['inputs']): Readonly<Record<string, InputSource>> {
  return Object.fromEntries(
    Object.entries(inputs ?? {}).flatMap(([name, source]): [string, InputSource][] => {
      if ('carry' in source) return []
      return [[name, 'column' in source ? { column: source.column } : source]]
    }),
  )
}
