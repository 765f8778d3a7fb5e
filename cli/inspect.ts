// `condense inspect`: what is in a model, before anything is done to it.
import type { Argv } from 'yargs'
import { UserError } from '../base/errors.ts'
import { formatBytes, formatCount } from '../benchmarks/report/format.ts'
import { measureSize } from '../benchmarks/size.ts'
import { channelGroups } from '../channels/groups.ts'
import { prepareChannels } from '../channels/prepare.ts'
import { unfollowedLayers } from '../channels/unfollowed.ts'
import { allNodes, type Model, type Value } from '../onnx/graph.ts'
import { layersOf } from '../onnx/layers.ts'
import { loadModel } from '../onnx/load.ts'
import { printGraph } from '../onnx/text.ts'
import { macsOf } from '../pipeline/cost.ts'
import type { Arguments } from './commands.ts'
import { exitCodes } from './exit.ts'
import { textOption } from './options.ts'
import { table } from './table.ts'

/** Declares the options of `condense inspect`. */
export const build = (yargs: Argv): Argv =>
  yargs
    .positional('model', { type: 'string', demandOption: true, describe: 'An ONNX file' })
    .option('groups', {
      type: 'boolean',
      default: false,
      describe: 'Channels that hang together, and which cannot be cut and why',
    })
    .option('text', { type: 'boolean', default: false, describe: 'The whole graph as text' })
    .option('json', { type: 'boolean', default: false, describe: 'As JSON' })

/** Prints the facts of a model. */
export async function execute(args: Arguments): Promise<number> {
  const path = textOption(args, 'model') ?? ''
  const model = await loadModel(path)
  const facts = {
    ...(await factsOf(path, model)),
    ...(args.groups === true && (await groupsOf(model, path))),
  }
  if (args.json === true) process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
  else {
    process.stdout.write(args.text === true ? printGraph(model.graph) : factsText(facts))
    if (facts.groups) process.stdout.write(`\n${groupsText(facts)}\n`)
  }
  return exitCodes.done
}

type Groups = Awaited<ReturnType<typeof groupsOf>>

type Facts = Awaited<ReturnType<typeof factsOf>> & Partial<Groups>

async function factsOf(path: string, model: Model) {
  const { graph, opsets, irVersion, metadata } = model
  const operators: Record<string, number> = {}
  for (const { opType } of allNodes(graph)) operators[opType] = (operators[opType] ?? 0) + 1
  const size = await measureSize(path, model)
  return {
    file: path,
    name: graph.name,
    irVersion,
    opsets: Object.fromEntries(
      [...opsets].map(([domain, version]) => [domain || 'ai.onnx', version]),
    ),
    inputs: graph.feeds.map(signature),
    outputs: graph.outputs.map(signature),
    ...size,
    ...(await macsOrReason(model)),
    nodes: graph.nodes.length,
    layers: layersOf(graph).length,
    operators,
    metadata: Object.fromEntries(metadata),
  }
}

/** A model that ONNX Runtime cannot open still has all its other facts. */
async function macsOrReason(
  model: Model,
): Promise<{ readonly macs: number | null; readonly reason?: string }> {
  try {
    const macs = await macsOf(model)
    return macs === undefined ? { macs: null, reason: 'shapes are not known' } : { macs }
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    return { macs: null, reason: thrown.message }
  }
}

const signature = ({ name, type }: Value): string =>
  `${name}: ${type?.dtype ?? '?'} [${type?.shape?.map((dim) => dim ?? '?').join(', ') ?? '…'}]`

async function groupsOf(model: Model, path: string) {
  const prepared = await prepareChannels(model, path)
  const groups = channelGroups(prepared)
  return {
    groups: groups.map(({ name, channels, producers, prunable }) => ({
      name,
      channels,
      layers: producers.map((node) => node.name || node.opType),
      prunable,
    })),
    unfollowed: unfollowedLayers(prepared, groups),
  }
}

function factsText(facts: Facts): string {
  const { sizeBytes, gzipBytes, parameters, nonzeroParameters, macs } = facts
  const operators = Object.entries(facts.operators)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
  const opsets = Object.entries(facts.opsets).map(([domain, version]) => `${domain} ${version}`)
  const rows = [
    ['file', facts.file],
    ['graph', facts.name],
    ['format', `IR ${facts.irVersion}, opset ${opsets.join(', ')}`],
    ...facts.inputs.map((input) => ['input', input]),
    ...facts.outputs.map((output) => ['output', output]),
    ['size', `${formatBytes(sizeBytes)}, ${formatBytes(gzipBytes)} after gzip`],
    ['parameters', `${formatCount(parameters)}, ${formatCount(nonzeroParameters)} not zero`],
    ['MACs', macs === null ? `unknown: ${facts.reason}` : `${formatCount(macs)} a sample`],
    ['nodes', `${facts.nodes}, ${facts.layers} layers with float weights`],
    ['operators', operators.join(', ')],
    ...Object.entries(facts.metadata).map(([key, value]) => [
      key,
      value.length > 100 ? `${value.slice(0, 99)}…` : value,
    ]),
  ]
  return `${table(rows[0] ?? [], rows.slice(1))}\n`
}

const groupsText = ({ groups = [], unfollowed = [] }: Partial<Groups>): string => {
  const rows = [
    ...groups.map(({ name, channels, layers, prunable }) => [
      name,
      String(channels),
      layers.length > 3
        ? `${layers.slice(0, 3).join(', ')} and ${layers.length - 3} more`
        : layers.join(', '),
      prunable === true ? 'yes' : `no: ${prunable}`,
    ]),
    ...unfollowed.map(({ name, reason }) => ['–', '–', name, `no: ${reason}`]),
  ]
  if (rows.length === 0) return 'no groups of channels: the model has no layer with weights'
  return table(['group', 'channels', 'layers', 'can be cut'], rows)
}
