// The last check of a quantized file: it is opened and run on every provider where it is wanted, and all of them must
// compute what ONNX defines, but for rounding. What became slower or larger is said.
import { z } from 'zod'
import { throwIfAborted, UserError } from '../../base/errors.ts'
import type { Samples } from '../../base/samples.ts'
import { race, raceRatio } from '../../benchmarks/race.ts'
import type { RatioWithInterval } from '../../benchmarks/statistics.ts'
import { build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Node, Value } from '../../onnx/graph.ts'
import { layerName } from '../../onnx/layers.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { serializeModel } from '../../onnx/save.ts'
import { runApart } from '../../runtime/apart.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { type ProviderName, providerNamed, providerNames } from '../../runtime/providers.ts'
import { withSession } from '../../runtime/session.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import { percent } from '../shares.ts'
import type { StageContext } from '../stage.ts'
import { type RecordedRun, recordRuns } from '../verify.ts'
import { decibels, likenessOf, worstOf } from './noise.ts'

/** Options of the check. */
export const providersShape = {
  providers: z
    .array(z.enum(providerNames as [ProviderName, ...ProviderName[]]))
    .min(1)
    .optional()
    .describe(
      'Where the result is opened, run and compared before the stage succeeds: unless given the one that is used, and those that the benchmark of a recipe measures.',
    ),
} as const

/** A quantized model and what it was made from. */
export interface Checked {
  readonly float: Model
  readonly quantized: Model
  /** The same with inputs and outputs of the float model's types. */
  readonly comparable: Model
  /** What its nodes are called in messages: the names before they were made short. */
  readonly names: ReadonlyMap<Node, string>
}

/** What providers are compared on: samples one by one, of those that are fed in steps fewer. */
const compared = { samples: 8, batch: 1, runs: 8 } as const

/**
 * Where providers agree less than this, dB, rounding does not explain it, unless quantization itself made much noise.
 * Measured between integer kernels and the definition were 53 to 146 dB; kernels that quantize activations at run time,
 * as those for small weights do, add the noise of 8 bits, which is about 40.
 */
const roundingDb = 30

/** How the time of a model is measured against that of another. */
const timing = { rounds: 8, roundMs: 4 } as const

/**
 * Opens and runs a quantized model on providers and compares what they make of the same samples with what the CPU makes
 * of them without any optimization, which is ONNX's definition operator by operator.
 *
 * Gives what is to be said of the file, a part a line. A provider that cannot run it, or that differs by more than
 * rounding explains, is a {@link UserError} that names the first layer which differs. One that is not here, or whose
 * device lacks a type, is logged.
 */
export async function checkProviders(
  checked: Checked,
  wanted: readonly ProviderName[],
  samples: Samples | undefined,
  context: StageContext,
  where: string,
): Promise<string[]> {
  const { float, quantized, comparable } = checked
  const { threads, seed, log, signal } = context
  const defined = { threads, optimization: 'disabled', where } as const
  const runs = await withSession(comparable, defined, (session) =>
    recordRuns(session, samples, { ...compared, seed, where }),
  )
  const larger = describeSize(float, quantized)
  if (runs.length === 0) return larger
  // A rounding that falls out otherwise, and those behind it that it changes, are worth at most what all of them are.
  const noiseDb = await quantizationNoise(float, runs, context, where)
  const limitDb = Math.min(roundingDb, noiseDb)
  const ran: ProviderName[] = []
  const slower: string[] = []
  const check = async (provider: ProviderName): Promise<void> => {
    const found = await providerNamed(provider).available()
    if (!found.available) {
      log(`not checked on ${provider}, which is not available: ${found.reason}`)
      return
    }
    const timed = found.software !== true
    const own = await runOn(provider, checked, runs, timed, context, where).catch(lackOfDevice)
    if (typeof own === 'string') {
      log(`not checked on ${provider}: ${own}`)
      return
    }
    const { results, ratio } = own
    const worst = worstOf(
      likenessOf(
        runs.map((run) => run.results),
        results,
      ),
    )
    if (worst && worst.sqnrDb < limitDb) {
      const layer = await firstDifference(checked, runs, provider, limitDb, context, where)
      const advice = (await floatDiffers(provider, float, runs, context, where))
        ? `its float input differs there as well: leave ${provider} out by 'providers', or change that layer`
        : 'exclude it, set weightBits: 7, or use another scheme'
      throw new UserError(
        `${where}: the result computes something else on ${provider} than ONNX defines: output '${worst.name}' agrees by ${decibels(worst.sqnrDb)}, rounding explains ${limitDb.toFixed(1)} dB: ${layer} — ${advice}`,
      )
    }
    ran.push(provider)
    if (ratio && ratio.interval[0] > noticeable)
      slower.push(
        `slower than its input on ${provider}: ${ratio.value.toFixed(2)} times the latency`,
      )
  }
  for (const provider of new Set(wanted)) {
    throwIfAborted(signal)
    await check(provider)
  }
  const faults = [...larger, ...slower]
  for (const line of faults) log(line)
  return [...(ran.length > 0 ? [`runs alike on ${ran.join(', ')}`] : []), ...faults]
}

/** A smaller difference of latency, as a factor, is nothing to speak of. */
const noticeable = 1.05

/** What is said of a file that quantization made larger. */
function describeSize(float: Model, quantized: Model): string[] {
  const [before, after] = [float, quantized].map((model) => serializeModel(model).length)
  return after! > before!
    ? [`larger than its input: ${percent(after! / before!)} of its bytes`]
    : []
}

/** What devices may lack, by what ONNX Runtime says of it. */
const lacks = [
  [/requires f16 but the device does not support/, 'its device has no float16'],
] as const

/** What of a device a run failed for the lack of; all else is thrown on. */
function lackOfDevice(thrown: unknown): string {
  const found = lacks.find(([said]) => thrown instanceof UserError && said.test(thrown.message))
  if (!found) throw thrown
  return found[1]
}

/** How well the float model agrees with what its quantized one is defined to give, dB. */
async function quantizationNoise(
  float: Model,
  runs: readonly RecordedRun[],
  context: StageContext,
  where: string,
): Promise<number> {
  const results = await floatResults(float, runs, context, where)
  const expected = runs.map((run) => run.results)
  return worstOf(likenessOf(expected, results))?.sqnrDb ?? Number.POSITIVE_INFINITY
}

/** What the float model gives on the CPU. */
const floatResults = (
  float: Model,
  runs: readonly RecordedRun[],
  { threads }: StageContext,
  where: string,
): Promise<Tensors[]> =>
  withSession(float, { threads, where }, async (session) => {
    const all: Tensors[] = []
    for (const { feeds } of runs) all.push(await session.run(feeds))
    return all
  })

/** Whether a provider computes even the float model otherwise than the CPU does. */
async function floatDiffers(
  provider: ProviderName,
  float: Model,
  runs: readonly RecordedRun[],
  context: StageContext,
  where: string,
): Promise<boolean> {
  if (provider === 'cpu') return false
  const { threads, signal } = context
  const expected = await floatResults(float, runs, context, where)
  const found = await runApart({
    model: serializeModel(float, { dense: true }),
    runs: runs.map(({ feeds }) => feeds),
    outputs: Object.keys(expected[0]!),
    ...{ provider, threads, signal },
    where: `${where}: its float input on ${provider}`,
  })
  return (worstOf(likenessOf(expected, found.results))?.sqnrDb ?? Infinity) < roundingDb
}

interface RanOn {
  readonly results: readonly Tensors[]
  /** The time over that of the float model; undefined where it was not measured. */
  readonly ratio: RatioWithInterval | undefined
}

/** Runs the file as it is on a provider; all but the CPU get a process of their own. */
async function runOn(
  provider: ProviderName,
  { float, comparable }: Checked,
  runs: readonly RecordedRun[],
  timed: boolean,
  { threads, seed, signal }: StageContext,
  where: string,
): Promise<RanOn> {
  const [{ feeds, results }] = runs as [RecordedRun]
  if (provider !== 'cpu') {
    const ran = await runApart({
      model: serializeModel(comparable, { dense: true }),
      rival: timed ? serializeModel(float, { dense: true }) : undefined,
      runs: runs.map((run) => run.feeds),
      outputs: Object.keys(results),
      ...{ provider, threads, signal },
      where: `${where}: the result on ${provider}`,
    })
    const { own, rival } = ran.times
    const rounds = (times: readonly number[]) => times.map((ms) => Float64Array.of(ms))
    return {
      results: ran.results,
      ratio: own.length > 0 ? raceRatio(rounds(own), rounds(rival)) : undefined,
    }
  }
  const own: Tensors[] = []
  await withSession(comparable, { threads, where: `${where}: the result` }, async (session) => {
    for (const run of runs) own.push(await session.run(run.feeds))
  })
  if (!timed) return { results: own, ratio: undefined }
  const contenders = [comparable, float].map((model) => ({ model, feeds }))
  const [after, before] = await race(contenders, { provider, threads, seed, signal, ...timing })
  return { results: own, ratio: raceRatio(after!, before!) }
}

/**
 * Looks for the first value that differs, in a copy that gives them all. A value between a layer and the quantization of
 * its output is not among them, for looking at it would keep the two from becoming one kernel.
 */
async function firstDifference(
  { comparable, names }: Checked,
  [first]: readonly RecordedRun[],
  provider: ProviderName,
  limitDb: number,
  { threads, signal }: StageContext,
  where: string,
): Promise<string> {
  const { probe, shown } = await probeOf(comparable, where)
  const outputs = shown.map(({ output }) => output)
  const { feeds } = first!
  const defined = await withSession(
    probe,
    { threads, optimization: 'disabled', where },
    (session) => session.run(feeds, outputs),
  )
  const found =
    provider === 'cpu'
      ? await withSession(probe, { threads, where }, (session) => session.run(feeds, outputs))
      : (
          await runApart({
            model: serializeModel(probe, { dense: true }),
            runs: [feeds],
            ...{ outputs, provider, threads, signal, where },
          })
        ).results[0]!
  const likeness = likenessOf([defined], [found])
  for (const { node, output } of shown) {
    const { sqnrDb } = likeness.get(output) ?? {}
    if (sqnrDb === undefined || sqnrDb >= limitDb) continue
    // Nodes of a copy stand where those of the model stand.
    const layer = comparable.graph.nodes[node]!
    return `the first layer that differs is ${layer.opType} '${names.get(layer) ?? layerName(layer)}' (SQNR ${decibels(sqnrDb)})`
  }
  return 'no layer differs when all are looked at'
}

/** A copy of a model that gives its inner float values, each with the number of the node that made it. */
async function probeOf(
  model: Model,
  where: string,
): Promise<{
  readonly probe: Model
  readonly shown: readonly { readonly node: number; readonly output: string }[]
}> {
  const probe = cloneModel(model)
  const { graph } = probe
  const { nodes } = graph
  const types = await inferTypes(probe, { where })
  const places = new Map(nodes.map((node, index) => [node, index]))
  const isFloat = (value: Value) => /^float(16|32)$/.test(types.get(value)?.dtype ?? '')
  const seen = nodes.flatMap((node) =>
    node.outputs.flatMap((value) => {
      if (!value || !isFloat(value) || isConstant(node)) return []
      const users = [...value.users]
      const goesOnInIntegers = users.some(({ opType }) => opType === 'QuantizeLinear')
      return goesOnInIntegers ? [] : [{ value, node: places.get(makerOf(node)) ?? 0 }]
    }),
  )
  graph.outputs.length = 0
  const g = build(graph)
  const shown = seen.map(({ value, node }) => {
    const output = g.Identity(value)
    graph.outputs.push(output)
    return { node, output: output.name }
  })
  removeDeadNodes(graph)
  return { probe, shown }
}

/** Whether a node only brings constants back to float. */
const isConstant = ({ opType, inputs }: Node): boolean =>
  opType === 'DequantizeLinear' && inputs[0]?.tensor !== undefined

/** The layer that a node only quantizes or brings back to float the output of. */
function makerOf(node: Node): Node {
  const isPair = node.opType === 'DequantizeLinear' || node.opType === 'QuantizeLinear'
  const before = isPair ? node.inputs[0]?.producer : undefined
  return before ? makerOf(before) : node
}
