// Measuring what range each activation has on real samples. The wanted values become outputs of a copy of the model; where
// only extremes are needed, they are reduced inside the graph, so that next to nothing leaves it.
import { UserError } from '../../base/errors.ts'
import type { Samples } from '../../base/samples.ts'
import { type Builder, build } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { elements } from '../../onnx/tensor.ts'
import { feederFor, runSteps } from '../../runtime/feed.ts'
import { withSession } from '../../runtime/session.ts'
import type { Range } from './arithmetic.ts'
import { bringOut } from './branches.ts'
import {
  type Calibrator,
  type CalibratorName,
  type CalibratorOptions,
  calibrators,
} from './calibrators.ts'

/** How activations are measured. */
export interface CalibrationOptions extends CalibratorOptions {
  readonly method: CalibratorName
  readonly threads: number
  /** What error messages call the model. */
  readonly where: string
  /** Throws when the work is to be given up. */
  readonly check: () => void
  /** Told the share of the samples that are done, 0..1. */
  readonly progress: (done: number) => void
  /** Makes ready some samples that are about to be read, where they have to be fetched; those before are done with. */
  readonly fetch?: (first: number, count: number) => Promise<void>
}

/** Samples a run: many where only extremes come back, few where all activations do. */
const batches = { extremes: 32, values: 8 } as const

/**
 * Measures the ranges of some values of a model on samples.
 *
 * Ranges of values that were not always finite are not finite either; values of branches that no sample takes have none.
 * Samples that do not fit the model are a {@link UserError}.
 */
export async function measureRanges(
  model: Model,
  values: readonly Value[],
  samples: Samples,
  options: CalibrationOptions,
): Promise<ReadonlyMap<Value, Range>> {
  // Each row of the table knows its own state; here it is only passed on.
  const calibrator = calibrators[options.method] as Calibrator<unknown>
  const { extremesSuffice } = calibrator
  const { probe, outputs } = probeModel(model, values, extremesSuffice, carriedBy(samples))
  const states = values.map(() => calibrator.start())
  const seen = new Set<Value>()
  const { where, threads } = options
  await withSession(probe, { threads, where }, async (session) => {
    const wanted = batches[extremesSuffice ? 'extremes' : 'values']
    const feeder = feederFor(session, samples, { batch: wanted, where })
    const { batch } = feeder
    if (batch > samples.size)
      throw new UserError(
        `${where}: its batch is larger than the calibration data: ${batch} of ${samples.size} samples — use more samples`,
      )
    const names = [...new Set(outputs.flat())]
    for (let start = 0; start < samples.size; start += batch) {
      options.check()
      // The native call blocks; let timers and signals have their turn.
      await new Promise(setImmediate)
      // A batch that the last samples do not fill takes some of those before once more: ranges do not mind.
      const first = Math.min(start, samples.size - batch)
      await options.fetch?.(first, batch)
      feeder.load(Array.from({ length: batch }, (_, row) => first + row))
      for await (const results of runSteps(session, feeder, names))
        for (const [index, own] of outputs.entries()) {
          const found = joined(own.map((name) => elements(results[name]!, 'float32')))
          if (found.length === 0) continue
          states[index] = calibrator.observe(states[index], found)
          seen.add(values[index]!)
        }
      options.progress(Math.min(1, (start + batch) / samples.size))
    }
  })
  const ranges = values.map((value, index) => [value, states[index]] as const)
  return new Map(
    ranges
      .filter(([value]) => seen.has(value))
      .map(([value, state]) => [value, calibrator.range(state, options)]),
  )
}

/** What came of one value: all of it, or its least and its greatest element. */
const joined = (parts: readonly Float32Array[]): Float32Array =>
  parts.length === 1 ? parts[0]! : Float32Array.from(parts.flatMap((part) => [...part]))

/** The outputs that are carried from one chunk of the samples to the next. */
const carriedBy = ({ inputs = {} }: Samples): ReadonlySet<string> =>
  new Set(Object.values(inputs).flatMap((source) => ('carry' in source ? [source.carry] : [])))

/** A copy of the model that gives the values, or the least and the greatest element of each. */
function probeModel(
  model: Model,
  values: readonly Value[],
  extremes: boolean,
  kept: ReadonlySet<string>,
): { readonly probe: Model; readonly outputs: readonly (readonly string[])[] } {
  const probe = cloneModel(model)
  const { graph } = probe
  const named = new Map(
    [...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)].map((value) => [
      value?.name,
      value,
    ]),
  )
  const state = graph.outputs.filter(({ name }) => kept.has(name))
  graph.outputs.splice(0, graph.outputs.length, ...state)
  const write = (g: Builder, value: Value) =>
    extremes ? extremesOf(g, value) : [g.Identity(value)]
  const inner = values.map(({ name }) => name).filter((name) => !named.has(name))
  const brought = bringOut(graph, new Set(inner), write)
  const g = build(graph)
  const outputs = values.map(({ name }) => {
    const value = named.get(name)
    // What nodes compute is fetched without another copy; an input cannot be an output, too.
    const whole = !extremes && value?.producer ? [value] : undefined
    const wanted = whole ?? (value ? write(g, value) : brought.get(name))
    if (!wanted) throw new Error(`internal: no value '${name}'`)
    graph.outputs.push(...wanted.filter((output) => !graph.outputs.includes(output)))
    return wanted.map((output) => output.name)
  })
  removeDeadNodes(graph)
  return { probe, outputs }
}

/** The least and the greatest element; both NaN where any is not finite, which ReduceMin and ReduceMax pass over. */
function extremesOf(g: Builder, value: Value): Value[] {
  const whole = { keepdims: 0 }
  const doubt = g.ReduceSum(g.Mul(value, 0), whole)
  return [g.ReduceMin(value, whole), g.ReduceMax(value, whole)].map((end) => g.Add(end, doubt))
}

/** Throws a {@link UserError} for the first range that is not finite. */
export function requireFinite(ranges: ReadonlyMap<Value, Range>, where: string): void {
  for (const [{ name }, { min, max }] of ranges)
    if (!Number.isFinite(min) || !Number.isFinite(max))
      throw new UserError(
        `${where}: '${name}' is not finite on the calibration data: ${min} … ${max} — check the data and its preprocessing`,
      )
}
