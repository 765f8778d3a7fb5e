// The finished file: its operator set, its metadata, and nothing in it that only the tools before needed.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Dataset, ImageColumn } from '../data/dataset.ts'
import { preprocessing } from '../data/preprocess.ts'
import { cloneModel } from '../onnx/clone.ts'
import { allNodes, type Model, opsetOf } from '../onnx/graph.ts'
import { packedSince, packZeros, unpackZeros } from '../onnx/packed.ts'
import { newestOpset, upgradeOpset } from '../onnx/passes/upgrade.ts'
import { bindInputs } from '../runtime/bind.ts'
import { type BakeDetails, bake, bakeDetails, bakeOptions } from './bake.ts'
import { inputsOf } from './feeding.ts'
import { defineStage } from './stage.ts'
import { requiredData } from './training.ts'

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

function imagesIn({ image }: Dataset): ImageColumn {
  if (image) return image
  throw new UserError(
    'bake: the data has no images of bytes, whose preprocessing a model could take over — leave it out',
  )
}

/** Puts the preprocessing of the data's images before the input that reads them. */
function bakeFor(model: Model, data: Dataset, details: BakeDetails): Model {
  const { recipe } = data
  const image = imagesIn(data)
  const { columns } = bindInputs(inputsOf(model.graph), data, 'model')
  const input = columns.find(({ column }) => column === image.column)
  if (!input) throw new UserError('bake: no input of the model reads the images — leave it out')
  const { name } = data.columns[image.column]!
  const stored = recipe.store.columns.find((column) => column.name === name)!
  return bake(model, input.name, preprocessing(stored.shape, recipe.preprocess), details)
}

/** Has weights with many zeros stored without them, where asked; tells how many. */
function store(model: Model, sparse: boolean | 'auto'): number {
  if (!sparse) unpackZeros(model)
  const count = sparse ? packZeros(model) : 0
  if (count > 0 || sparse !== true) return count
  const opset = opsetOf(model)
  throw new UserError(
    opset < packedSince
      ? `sparse: needs opset ${packedSince}: the model has ${opset} — set opset: ${packedSince} or higher`
      : "sparse: no weight gets smaller without its zeros — prune with structure 'weights' first, or set sparse: auto",
  )
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
    bake: bakeOptions.default(false),
    sparse: z
      .union([z.literal('auto'), z.boolean()])
      .default('auto')
      .describe(
        'Store weights without their zeros; the runtime makes them dense when it opens the file. auto: where that makes the file smaller; true: refuses a model where it does not; false: never.',
      ),
    strip: z
      .boolean()
      .default(true)
      .describe('Leave out documentation texts and the types of inner values.'),
  }),
  // Preprocessing is that of the data.
  dataUse: ({ bake }) => (bakeDetails(bake) ? 'always' : 'never'),
  check({ bake }, { train }) {
    if (bakeDetails(bake)) imagesIn(train)
  },
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
    const details = bakeDetails(options.bake)
    const ready = details ? bakeFor(copy, requiredData(context).train, details) : copy
    const model = withMetadata(ready, metadata)
    const sparse = store(model, options.sparse)
    context.progress({ done: 1 })
    const { losses } = input.facts
    const raised = opset > before ? `opset ${before} → ${opset}` : `opset ${opset}`
    const entries = Object.keys(metadata).length
    const summary = [
      raised,
      ...(details ? ['takes bytes'] : []),
      ...(sparse > 0
        ? [`${sparse} ${sparse === 1 ? 'weight' : 'weights'} stored without zeros`]
        : []),
      ...(entries > 0 ? [`${entries} metadata entries`] : []),
    ].join(', ')
    return { model, facts: { ...(losses && { losses }), summary } }
  },
})
