// Getting a model ready for cutting channels, and handing it back with its own interface.
import { cloneModel } from '../onnx/clone.ts'
import type { Model } from '../onnx/graph.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { foldConstants } from '../runtime/fold.ts'
import { inferShapes } from '../runtime/shapes.ts'

/**
 * Copies a model with all constants as initializers and the shapes of all values stated for a batch of one.
 *
 * That is what `channelGroups`, `cutChannels` and `countMacs` need. A model that ONNX Runtime cannot open is a
 * {@link UserError}; `where` is what the message calls it. `dims` are sizes for other free dimensions (see `fixDims`);
 * they hold for the stated shapes alone.
 */
export async function prepareChannels(
  model: Model,
  where = 'model',
  dims: Readonly<Record<string, number>> = {},
): Promise<Model> {
  const copy = cloneModel(model)
  liftConstants(copy)
  // Where no dimension is free, shapes that nodes compute are constants, too.
  await inferShapes(copy, { where })
  await foldConstants(copy, where)
  removeDeadNodes(copy.graph)
  await inferShapes(copy, { batch: 1, dims, where })
  return copy
}

/** Gives a prepared model the interface of its original again, and forgets the shapes stated for a batch of one. */
export function restoreInterface(prepared: Model, original: Model): void {
  const { graph } = prepared
  for (const node of graph.nodes)
    for (const output of node.outputs) if (output?.type) output.type = { dtype: output.type.dtype }
  const types = new Map(
    [...original.graph.inputs, ...original.graph.outputs].map(({ name, type }) => [name, type]),
  )
  for (const value of [...graph.inputs, ...graph.outputs]) value.type = types.get(value.name)
}
