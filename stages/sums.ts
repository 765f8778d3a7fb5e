// Sums (and maxima) over samples of what a model computes from each batch of them: statistics whose size does not depend on
// how many samples there are.
import { throwIfAborted, UserError } from '../base/errors.ts'
import { firstSamples, type Samples } from '../base/samples.ts'
import { type Builder, build } from '../onnx/build.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Model, Value } from '../onnx/graph.ts'
import { liftConstants } from '../onnx/passes/constants.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { newestOpset, upgradeOpset } from '../onnx/passes/upgrade.ts'
import { elements } from '../onnx/tensor.ts'
import { feederFor, runSteps } from '../runtime/feed.ts'
import { withSession } from '../runtime/session.ts'
import type { StageContext } from './stage.ts'
import { requiredData } from './training.ts'

/** Samples that go through the model at once. */
const batchSize = 16

/** Gives the value of a name in the graph that is written to. */
export type Named = (name: string) => Value

/** What is summed over: so many of the first calibration samples, or these. */
export interface Summed {
  readonly samples: number | Samples
  readonly context: StageContext
}

/** The calibration samples that are looked at. */
export const samplesOf = ({ samples, context }: Summed): Samples =>
  typeof samples === 'number' ? firstSamples(requiredData(context).calibration, samples) : samples

/**
 * Sums what `write` adds to a copy of the model (float32 values of one shape whatever the batch) over samples, in
 * float64.
 *
 * Every sample counts once, except that a model of a fixed batch leaves out those that do not fill one. Samples that do
 * not fit the model are a {@link UserError}.
 */
export const sumsOver = (
  model: Model,
  write: (g: Builder, named: Named) => readonly Value[],
  summed: Summed,
  where = 'model',
): Promise<Float64Array[]> => foldedOver(model, write, summed, where, (sum, value) => sum + value)

/** The same with the largest of the values in the place of their sum. */
export const largestOver = (
  model: Model,
  write: (g: Builder, named: Named) => readonly Value[],
  summed: Summed,
  where = 'model',
): Promise<Float64Array[]> => foldedOver(model, write, summed, where, Math.max)

/** Runs a model over samples and puts what is written together, batch by batch. */
async function foldedOver(
  model: Model,
  write: (g: Builder, named: Named) => readonly Value[],
  summed: Summed,
  where: string,
  together: (found: number, value: number) => number,
): Promise<Float64Array[]> {
  const { context } = summed
  const samples = samplesOf(summed)
  const { probe, names } = probeFor(model, write, samples, where)
  if (names.length === 0) return []
  const { threads, provider } = context
  return withSession(probe, { threads, provider, where }, async (session) => {
    const sums: Float64Array[] = []
    const feeder = feederFor(session, samples, { batch: batchSize, where })
    const { fixedBatch } = feeder.binding
    if (feeder.batch > samples.size)
      throw new UserError(
        `${where}: its batch is larger than the calibration data: ${feeder.batch} of ${samples.size} samples — use more samples`,
      )
    for (let start = 0; start < samples.size; start += feeder.batch) {
      await turn(context)
      const size = Math.min(feeder.batch, samples.size - start)
      if (size < feeder.batch && fixedBatch !== undefined) break
      const own =
        size < feeder.batch
          ? feederFor(session, samples, { batch: size, where, exactly: true })
          : feeder
      own.load(Array.from({ length: size }, (_, row) => start + row))
      for await (const results of runSteps(session, own, names))
        for (const [index, name] of names.entries()) {
          const values = elements(results[name]!, 'float32')
          const found = sums[index]
          if (found)
            for (let at = 0; at < values.length; at++) found[at] = together(found[at]!, values[at]!)
          else sums[index] = Float64Array.from(values)
        }
    }
    return sums
  })
}

/** The native call blocks: lets timers and signals have their turn. */
async function turn({ signal }: StageContext): Promise<void> {
  throwIfAborted(signal)
  await new Promise(setImmediate)
}

/** A copy of the model that gives what is written, and the state that it carries from chunk to chunk. */
function probeFor(
  model: Model,
  write: (g: Builder, named: Named) => readonly Value[],
  { inputs = {} }: Samples,
  where: string,
): { readonly probe: Model; readonly names: readonly string[] } {
  const probe = cloneModel(model)
  if ((probe.opsets.get('') ?? 0) < newestOpset) upgradeOpset(probe, newestOpset, where)
  liftConstants(probe)
  const { graph } = probe
  const carried = new Set(
    Object.values(inputs).flatMap((source) => ('carry' in source ? [source.carry] : [])),
  )
  const values = new Map<string, Value>()
  for (const value of [...graph.inputs, ...graph.initializers]) values.set(value.name, value)
  for (const node of graph.nodes)
    for (const output of node.outputs) if (output) values.set(output.name, output)
  const state = graph.outputs.filter(({ name }) => carried.has(name))
  graph.outputs.splice(0, graph.outputs.length, ...state)
  const g = build(graph)
  const written = write(g, (name) => {
    const value = values.get(name)
    if (!value) throw new Error(`internal: no value '${name}'`)
    return value
  })
  // A value may be wanted twice, or be an output that is carried.
  const outputs = written.map((value) => g.Identity(value))
  graph.outputs.push(...outputs)
  removeDeadNodes(graph)
  return { probe, names: outputs.map(({ name }) => name) }
}
