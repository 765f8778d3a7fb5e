// Simplifying a graph without changing what it computes.
import { z } from 'zod'
import { throwIfAborted } from '../base/errors.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Model } from '../onnx/graph.ts'
import { mergeCommonSubexpressions } from '../onnx/passes/common-subexpressions.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { foldBatchNormalization } from '../onnx/passes/fold-batch-normalization.ts'
import { removeIdentities } from '../onnx/passes/identity.ts'
import { foldConstants } from '../runtime/fold.ts'
import { inferTypes } from '../runtime/shapes.ts'
import { defineStage } from './stage.ts'
import { compareModels, describeComparison } from './verify.ts'

/** One simplification; true when it changed the model. */
type Pass = (model: Model, where: string) => boolean | Promise<boolean>

/** The simplifications in the order in which they are tried. */
const passes = {
  identities: removeIdentities,
  constants: foldKnown,
  batchNormalization: ({ graph }) => foldBatchNormalization(graph),
  commonSubexpressions: ({ graph }) => mergeCommonSubexpressions(graph),
  deadNodes: ({ graph }) => removeDeadNodes(graph),
} as const satisfies Record<string, Pass>

/** The name of a simplification. */
export type PassName = keyof typeof passes

/** All names, in the order of the table. */
const passNames = Object.keys(passes) as readonly PassName[]

/** Simplifies a model in place until nothing changes any more; by all passes unless told. */
export async function simplify(
  model: Model,
  where: string,
  chosen: readonly PassName[] = passNames,
): Promise<void> {
  let changed = true
  while (changed) {
    changed = false
    for (const name of chosen) changed = (await passes[name](model, where)) || changed
  }
}

/** Folds what depends on constants and on shapes that are known; the types found for that are not kept. */
async function foldKnown(model: Model, where: string): Promise<boolean> {
  const lifted = liftConstants(model)
  const types = await inferTypes(model, { where })
  const inner = model.graph.nodes.flatMap((node) =>
    node.outputs.filter((output) => output && !model.graph.outputs.includes(output)),
  )
  const before = new Map(inner.map((value) => [value, value?.type]))
  for (const [value, type] of types) if (before.has(value)) value.type = type
  const folded = await foldConstants(model, where)
  for (const [value, type] of before) if (value && !value.tensor) value.type = type
  return lifted || folded
}

const pass = (description: string) => z.boolean().default(true).describe(description)

/** Simplifies a graph: fewer nodes and bytes, the same outputs. */
export const optimize = defineStage({
  summary: 'Simplify the graph without changing its outputs',
  options: z.strictObject({
    stage: z.literal('optimize'),
    identities: pass('Remove nodes that only pass their input on, such as Dropout and Identity.'),
    constants: pass('Compute what depends on constants alone once.'),
    batchNormalization: pass('Fold BatchNormalization into the layer before it.'),
    commonSubexpressions: pass('Compute equal nodes with the same inputs once.'),
    deadNodes: pass('Remove nodes and weights that no output depends on.'),
  }),
  dataUse: () => 'where given',
  passes: () => 0,
  async run(input, options, { threads, seed, data, signal }) {
    const model = cloneModel(input.model)
    const where = 'model'
    await simplify(
      model,
      where,
      passNames.filter((name) => options[name]),
    )
    throwIfAborted(signal)
    const comparison = await compareModels(input.model, model, data?.calibration, {
      threads,
      seed,
      where,
    })
    const [before, after] = [input.model, model].map(({ graph }) => graph.nodes.length)
    const { losses } = input.facts
    const summary = `${before} → ${after} nodes; ${describeComparison(comparison)}`
    return { model, facts: { ...(losses && { losses }), summary } }
  },
})
