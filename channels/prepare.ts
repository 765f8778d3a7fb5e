// Getting a model ready for cutting channels, and handing it back with its own interface.
import { UserError } from '../base/errors.ts'
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Model } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { inlineConditionals } from '../onnx/passes/inline-if.ts'
import { foldKnownSizes } from '../onnx/passes/known-sizes.ts'
import { inferBranchShapes } from '../runtime/branch-shapes.ts'
import { foldConstants } from '../runtime/fold.ts'
import { inferShapes } from '../runtime/shapes.ts'

/**
 * Sizes that free dimensions are tried with, in this order: numbers that no layer is likely to have, then such as are
 * halved often enough, then long signals.
 */
const trials: readonly number[] = [13, 67, 160, 224, 288, 416, 512, 576, 640, 1024, 4096, 16000]

/**
 * Copies a model with all constants as initializers and the shapes of all values stated for a batch of one.
 *
 * That is what `channelGroups`, `cutChannels` and `countMacs` need. A model that ONNX Runtime cannot open is a
 * {@link UserError}; `where` is what the message calls it. `dims` are sizes for other free dimensions (see `fixDims`);
 * those that it does not name get the first size with which all shapes are known, and stay free where none is found.
 * Sizes hold for the stated shapes alone.
 */
export async function prepareChannels(
  model: Model,
  where = 'model',
  dims: Readonly<Record<string, number>> = {},
): Promise<Model> {
  const copy = cloneModel(model)
  liftConstants(copy)
  // Where no dimension is free, shapes that nodes compute are constants, too.
  let changed = true
  while (changed) {
    await inferShapes(copy, { where })
    changed = foldKnownSizes(copy.graph)
    await foldConstants(copy, where)
    // A condition that has become a constant is none any more.
    changed = inlineConditionals(copy) || changed
  }
  removeDeadNodes(copy.graph)
  const free = freeDims(copy, dims)
  let best: Stated | undefined
  for (const trial of free.length > 0 ? trials : []) {
    const sizes = { ...dims, ...Object.fromEntries(free.map((name) => [name, trial])) }
    const stated = await statedFor(copy, sizes, where)
    // What stays open with two sizes does so for another reason.
    const isSettled = stated?.open === 0 || (best && stated && stated.open >= best.open)
    if (stated && stated.open < (best?.open ?? Number.POSITIVE_INFINITY)) best = stated
    if (isSettled) break
  }
  const stated = best?.model ?? copy
  if (!best) await inferShapes(stated, { batch: 1, dims, where })
  await inferBranchShapes(stated, where)
  return stated
}

/** A model whose values state their shapes, and how many of them do not. */
interface Stated {
  readonly model: Model
  readonly open: number
}

/** A copy with the shapes stated for some sizes; undefined where they do not suit it. */
async function statedFor(
  original: Model,
  dims: Readonly<Record<string, number>>,
  where: string,
): Promise<Stated | undefined> {
  const model = cloneModel(original)
  try {
    await inferShapes(model, { batch: 1, dims, where })
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    return undefined
  }
  const values = model.graph.nodes.flatMap(({ outputs }) => outputs)
  const open = values.filter(
    (value) => value && !statedShape(value)?.every((size) => size >= 0),
  ).length
  return { model, open }
}

/** The free dimensions of the inputs besides the batch that no size is given for, as `fixDims` calls them. */
function freeDims({ graph }: Model, dims: Readonly<Record<string, number>>): string[] {
  const first = graph.feeds.map(({ type }) => type?.shape?.[0])
  const batch = first.find((dim) => typeof dim === 'string')
  const found = graph.feeds.flatMap(({ name, type }) =>
    (type?.shape ?? []).flatMap((dim, axis) => {
      const isBatch = dim === undefined ? axis === 0 && batch === undefined : dim === batch
      return typeof dim === 'number' || isBatch ? [] : [dim ?? `${name}:${axis}`]
    }),
  )
  return [...new Set(found)].filter((name) => !(name in dims))
}

/** Gives a prepared model the interface of its original again, and forgets the shapes stated for a batch of one. */
export function restoreInterface(prepared: Model, original: Model): void {
  const { graph } = prepared
  for (const node of allNodes(graph))
    for (const output of node.outputs) if (output?.type) output.type = { dtype: output.type.dtype }
  const types = new Map(
    [...original.graph.inputs, ...original.graph.outputs].map(({ name, type }) => [name, type]),
  )
  for (const value of [...graph.inputs, ...graph.outputs]) value.type = types.get(value.name)
}
