// The layer table: every node of a model as ONNX Runtime runs it, with what it costs and what compression did to it.
import type { Samples } from '../../base/samples.ts'
import { constantNodes } from '../../onnx/constant-nodes.ts'
import { allNodes, type Model, type Node, type Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { macsOf, multiplications, type ShapeOf } from '../../onnx/multiplications.ts'
import { feederFor, type Tensors } from '../../runtime/feed.ts'
import type { ProviderName } from '../../runtime/providers.ts'
import { explainRandom, type RandomOptions, randomFeeds } from '../../runtime/random-feeds.ts'
import { type ValueInfo, withSession } from '../../runtime/session.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import type { LayerRow, LayerTable } from '../report/report.ts'
import { type Compared, noiseOf } from './noise.ts'
import { carriers, optimizedGraph, originsOf, withOwnNames } from './origins.ts'
import { profileModel, summaryOf } from './profile.ts'
import { weightsOf } from './weights.ts'

/** What of a model is measured, and with what. */
export interface LayersRequest {
  readonly path: string
  /** What messages call the model. */
  readonly where: string
  readonly provider: ProviderName
  readonly threads: number
  /** Samples in a run; a model with a fixed batch has the last word. */
  readonly batch: number
  /** The float model whose values those of the same name are compared with. */
  readonly teacher?: string | undefined
  /** Time for profiled runs, s. */
  readonly seconds: number
  /** How inputs are made up where there are no samples. */
  readonly random: Pick<RandomOptions, 'seed' | 'shapes' | 'constants'>
}

/** Samples, or made-up inputs, whose noise is looked at. */
const noiseRuns = 4

/** Measures the layer table of a model; what cannot be run is a `UserError`. */
export async function layerTable(
  request: LayersRequest,
  samples: Samples | undefined,
): Promise<LayerTable> {
  const { path, where, provider, threads, seconds } = request
  const loaded = await loadModel(path)
  const model = withOwnNames(loaded)
  // A file whose nodes have names is opened by ONNX Runtime itself.
  const source = model === loaded ? path : model
  const { runs, batch } = await withSession(source, { threads, where }, async (session) => {
    const prepared = inputsFor(session.inputs, request, samples)
    if (!samples) await session.run(prepared.runs[0]!).catch(explainRandom)
    return prepared
  })
  const feeds = runs[0]!
  const profile = await profileModel(source, { provider, threads, feeds, seconds, where })
  const origins = originsOf(
    model.graph,
    await optimizedGraph(source, provider),
    profile.nodes.map(({ name }) => name),
  )
  const noise = await noiseAgainst(request, model, runs, origins)
  const weights = weightsOf(model)
  const carry = carriersIn(model)
  const shapeOf = await shapesFor(model, feeds, where)
  const times = profile.nodes.map((node) => summaryOf(node.times))
  const copyingMs = summaryOf(profile.copying).ms
  const outsideMs = summaryOf(profile.outside).ms
  // Medians of parts need not add up to the median of the whole: the parts are what is told.
  const totalMs = times.reduce((sum, { ms }) => sum + ms, copyingMs + outsideMs)
  const shareOf = (ms: number): number => (totalMs > 0 ? ms / totalMs : 0)
  const rows = profile.nodes.map((node, index): LayerRow => {
    const nodes = origins.get(node.name) ?? []
    return {
      name: node.name,
      operator: node.operator,
      ...layersOf(nodes, carry),
      ran: node.provider,
      outputShape: node.outputShape ? [...node.outputShape] : null,
      ...weights(nodes),
      macs: macsIn(nodes, shapeOf, batch),
      share: shareOf(times[index]!.ms),
      ms: times[index]!.ms,
      spreadMs: [...times[index]!.spreadMs],
      ...noiseIn(nodes, noise),
    }
  })
  return {
    ...{ provider, threads, batch },
    runs: profile.outside.length,
    totalMs,
    clock: profile.clock,
    random: samples === undefined,
    copying: shareOf(copyingMs),
    overhead: shareOf(outsideMs),
    rows: rows.sort((a, b) => b.share - a.share),
    others: null,
  }
}

/** The nodes that only carry numbers to those who compute, and those that depend on constants alone. */
function carriersIn({ graph }: Model): ReadonlySet<Node> {
  const carrying = [...allNodes(graph)].filter(({ opType }) => carriers.has(opType))
  return new Set([...carrying, ...constantNodes(graph)])
}

/** The names of nodes: first those that multiply, last those that only carry numbers, and how many of these. */
function layersOf(
  nodes: readonly Node[],
  carry: ReadonlySet<Node>,
): Pick<LayerRow, 'layers' | 'carriers'> {
  const rank = (node: Node) =>
    carry.has(node) ? 2 : Object.hasOwn(multiplications, node.opType) ? 0 : 1
  const carrying = nodes.filter((node) => carry.has(node)).length
  return {
    layers: [...nodes].sort((a, b) => rank(a) - rank(b)).map(({ name }) => name),
    ...(carrying > 0 && { carriers: carrying }),
  }
}

/** The costliest rows of a table, and the sum of all others. */
export function costliest(table: LayerTable, count: number): LayerTable {
  if (table.rows.length <= count) return table
  const others = table.rows.slice(count)
  const sum = (of: (row: LayerRow) => number) => others.reduce((total, row) => total + of(row), 0)
  const known = others.every(({ macs }) => macs !== null)
  return {
    ...table,
    rows: table.rows.slice(0, count),
    others: {
      count: others.length,
      weightBytes: sum(({ weightBytes }) => weightBytes),
      macs: known ? sum(({ macs }) => macs ?? 0) : null,
      share: sum(({ share }) => share),
    },
  }
}

/** What several runs are fed with: samples where there are some, else made-up numbers. */
function inputsFor(
  inputs: readonly ValueInfo[],
  { batch, random, where }: LayersRequest,
  samples: Samples | undefined,
): { readonly runs: readonly Tensors[]; readonly batch: number } {
  if (!samples) {
    const runs = Array.from({ length: noiseRuns }, (_, run) =>
      randomFeeds(inputs, { ...random, seed: random.seed + run, batch, where }),
    )
    return { runs, batch: runs[0]![inputs[0]?.name ?? '']?.dims[0] ?? 1 }
  }
  const count = Math.max(1, Math.min(noiseRuns, Math.floor(samples.size / batch)))
  const runs = Array.from({ length: count }, (_, run) => {
    // Each with memory of its own, for a feeder writes over what it gave before.
    const feeder = feederFor({ inputs }, samples, { batch, where, exactly: true })
    const first = (run * feeder.batch) % samples.size
    feeder.load(Array.from({ length: feeder.batch }, (_, row) => (first + row) % samples.size))
    return { run: { ...feeder.feeds(0), ...feeder.begin() }, batch: feeder.batch }
  })
  return { runs: runs.map(({ run }) => run), batch: runs[0]!.batch }
}

async function noiseAgainst(
  { teacher, path, threads, where }: LayersRequest,
  model: Model,
  runs: readonly Tensors[],
  origins: ReadonlyMap<string, readonly Node[]>,
): Promise<ReadonlyMap<string, Compared>> {
  if (teacher === undefined || teacher === path) return new Map()
  const own = new Set(model.graph.nodes)
  const names = [...origins.values()].flatMap((nodes) =>
    valuesOf(nodes.filter((node) => own.has(node))),
  )
  return await noiseOf(model, await loadModel(teacher), names, runs, { threads, where })
}

const valuesOf = (nodes: readonly Node[]): string[] =>
  nodes.flatMap(({ outputs }) => outputs.flatMap((output) => output?.name || []))

/** The noise of the last value that the nodes give and the teacher has too. */
function noiseIn(
  nodes: readonly Node[],
  noise: ReadonlyMap<string, Compared>,
): Pick<LayerRow, 'sqnrDb' | 'against'> {
  const last = valuesOf(nodes).findLast((name) => noise.has(name))
  return last === undefined ? { sqnrDb: null, against: null } : noise.get(last)!
}

/** Shapes for the inputs that are fed. */
async function shapesFor(model: Model, feeds: Tensors, where: string): Promise<ShapeOf> {
  const dims: Record<string, number> = {}
  for (const { name, type } of model.graph.feeds)
    for (const [axis, dim] of (type?.shape ?? []).entries()) {
      const known = feeds[name]?.dims[axis]
      if (typeof dim !== 'number' && known !== undefined) dims[dim ?? `${name}:${axis}`] = known
    }
  const types = await inferTypes(model, { dims, sample: feeds, where })
  return (value: Value | undefined) => {
    const shape = value?.tensor?.dims ?? (value && types.get(value)?.shape)
    return shape?.every((dim) => typeof dim === 'number') ? (shape as readonly number[]) : undefined
  }
}

/** Multiply-accumulates of one sample; null where a shape is not known. */
function macsIn(nodes: readonly Node[], shapeOf: ShapeOf, batch: number): number | null {
  let total = 0
  for (const node of nodes) {
    const macs = macsOf(node, shapeOf)
    if (macs === undefined) return null
    total += macs
  }
  return Math.round(total / batch)
}
