// The finished file: its operator set, its metadata, and nothing in it that only the tools before needed.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Model, opsetOf } from '../onnx/graph.ts'
import { newestOpset, upgradeOpset } from '../onnx/passes/upgrade.ts'
import { defineStage } from './stage.ts'

/** The same model with more entries in its metadata (an entry of the same key is replaced); the graph is shared. */
export function withMetadata(model: Model, entries: Readonly<Record<string, string>>): Model {
  return { ...model, metadata: new Map([...model.metadata, ...Object.entries(entries)]) }
}

/** Removes documentation texts and the types of inner values, which runtimes infer, in place. */
export function strip({ graph }: Model): void {
  const subgraphs = [...allNodes(graph)].flatMap((node) => node.subgraphs)
  for (const each of [graph, ...subgraphs]) {
    each.extra = undefined
    const outputs = new Set(each.outputs)
    for (const node of each.nodes) {
      // Other domains may have functions, whose overloads stand there too, and operators that nobody can infer.
      if (node.domain !== '') continue
      node.extra = undefined
      for (const output of node.outputs) {
        if (!output || outputs.has(output)) continue
        output.type = undefined
        output.extra = undefined
      }
    }
  }
}

/** Writes a model with another operator set, more metadata, and without what running it does not need. */
export const exportModel = defineStage({
  summary: 'Set the opset and the metadata of the file',
  options: z.strictObject({
    stage: z.literal('export'),
    opset: z
      .int()
      .min(7)
      .max(newestOpset)
      .optional()
      .describe("Operator set to raise the model to, 7 … 21; the model's own unless given."),
    metadata: z
      .record(z.string().min(1), z.string())
      .default({})
      .describe('Texts by key that are added to the metadata of the file.'),
    strip: z
      .boolean()
      .default(true)
      .describe('Leave out documentation texts and the types of inner values.'),
  }),
  dataUse: () => 'never',
  passes: () => 0,
  async run(input, options, context) {
    const copy = cloneModel(input.model)
    const before = opsetOf(copy)
    const { opset = before, metadata } = options
    if (opset < before)
      throw new UserError(
        `opset: the model has a newer one already: ${opset} asked for, it has ${before} — an opset can only be raised`,
      )
    if (opset > before) upgradeOpset(copy, opset)
    if (options.strip) strip(copy)
    const model = withMetadata(copy, metadata)
    context.progress({ done: 1 })
    const { losses } = input.facts
    const raised = opset > before ? `opset ${before} → ${opset}` : `opset ${opset}`
    const entries = Object.keys(metadata).length
    const summary = entries > 0 ? `${raised}, ${entries} metadata entries` : raised
    return { model, facts: { ...(losses && { losses }), summary } }
  },
})
