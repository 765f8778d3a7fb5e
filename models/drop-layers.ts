// A shallower copy of any model: of the blocks that it repeats, some go, and the others keep their weights.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Graph, Model } from '../onnx/graph.ts'
import { layerName } from '../onnx/layers.ts'
import { bypass } from '../onnx/passes/bypass.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { inferTypes } from '../runtime/shapes.ts'
import { type BlockChain, repeatedBlocks } from './blocks.ts'
import { type Derivation, freeSizes, ofTeacher } from './derive.ts'

/** Schema of a shallower copy of the teacher. */
export const dropLayersOptions = z.strictObject({
  layers: z
    .union([
      z.enum(['every 2nd', 'every 3rd']),
      z
        .string()
        .regex(/^first [1-9]\d*$/, "expected 'every 2nd', 'every 3rd', 'first N', or a list"),
      z.array(z.int().min(1)).min(1),
    ])
    .describe(
      "Which of the teacher's repeated blocks the copy keeps: of every chain of them 'every 2nd' (the first, the third, …), 'every 3rd' or 'first N'; or a list of their numbers, counted from 1 over all chains.",
    ),
  of: ofTeacher,
})

/** The options, resolved. */
export type DropLayersOptions = z.output<typeof dropLayersOptions>

/**
 * Gives a copy of the teacher without some of its repeated blocks, with the same inputs and outputs; all weights that
 * stay keep their names. (DistilBERT starts so from every second layer of BERT; Sanh et al. 2019.)
 *
 * Blocks are found by {@link repeatedBlocks} and numbered in the order of the graph. A teacher without repeated
 * blocks, and options that keep all of them, are a {@link UserError}.
 */
export async function dropLayers(
  options: DropLayersOptions,
  { teacher, log, ...shape }: Derivation,
): Promise<Model> {
  const where = `student: { layers: ${Array.isArray(options.layers) ? `[${options.layers.join(', ')}]` : options.layers} }`
  const model = cloneModel(teacher)
  liftConstants(model)
  removeDeadNodes(model.graph)
  const types = await inferTypes(model, { batch: 1, dims: freeSizes(model, shape), where })
  const chains = repeatedBlocks(model.graph, (value) => types.get(value) ?? value.type)
  const all = chains.flat().length
  if (all === 0)
    throw new UserError(
      `${where}: the teacher repeats no blocks: among its ${model.graph.nodes.length} nodes there are no two alike parts in a row whose input and output are of one type — use 'shrink', or an architecture`,
    )
  const kept = keptBlocks(chains, options, where)
  if (kept.size === all)
    throw new UserError(
      `${where}: keeps all ${all} blocks of the teacher: ${described(chains)} — keep fewer`,
    )
  for (const chain of chains) dropFrom(model.graph, chain, (block) => kept.has(block))
  removeDeadNodes(model.graph)
  log?.(`kept ${kept.size} of ${all} blocks: ${described(chains)}`)
  return model
}

/** The blocks that stay. */
function keptBlocks(
  chains: readonly BlockChain[],
  { layers }: DropLayersOptions,
  where: string,
): ReadonlySet<BlockChain[number]> {
  const all = chains.flat()
  if (Array.isArray(layers)) {
    const unknown = layers.find((number) => number > all.length)
    if (unknown !== undefined)
      throw new UserError(
        `${where}: there is no block ${unknown}: the teacher has ${all.length}: ${described(chains)} — choose among them`,
      )
    return new Set(layers.map((number) => all[number - 1]!))
  }
  const number = Number.parseInt(layers.replace(/\D+/, ''), 10)
  const test = layers.startsWith('first')
    ? (index: number) => index < number
    : (index: number) => index % number === 0
  return new Set(chains.flatMap((chain) => chain.filter((_, index) => test(index))))
}

/** Leads the data past the blocks of a chain that do not stay. */
function dropFrom(
  graph: Graph,
  chain: BlockChain,
  stays: (block: BlockChain[number]) => boolean,
): void {
  let last = chain[0]!.entry
  for (const block of chain) {
    if (!stays(block)) continue
    if (last !== block.entry)
      for (const node of block.nodes)
        for (const [index, input] of node.inputs.entries())
          if (input === block.entry) node.setInput(index, last)
    last = block.exit
  }
  const { exit } = chain.at(-1)!
  if (last !== exit) bypass(graph, exit, last)
}

/** The chains for people: how many blocks, and where the first one is. */
const described = (chains: readonly BlockChain[]): string =>
  chains
    .map((chain) => {
      const [first] = chain
      return `${chain.length} from '${layerName(first!.nodes[0]!)}' (${first!.nodes.length} nodes each)`
    })
    .join(', ')
