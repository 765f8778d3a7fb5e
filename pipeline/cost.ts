// How much work a step is, and how long that takes: from what earlier runs took here, or from a stated assumption.
import type { Splits } from '../data/dataset.ts'
import { openSource, type StudentSource, studentSource } from '../models/source.ts'
import type { Model } from '../onnx/graph.ts'
import { countMacs } from '../onnx/multiplications.ts'
import { inferTypes } from '../runtime/shapes.ts'
import { shapeFor } from '../stages/building.ts'
import { stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { tasks } from '../tasks/index.ts'
import type { Listed } from './cache.ts'
import type { Task, World } from './key.ts'

/** Multiply-accumulates a second and thread, where nothing has been measured yet. */
export const assumedThroughput = 10e9

/** What every step takes however little it computes, s. */
const overheadSeconds = 0.5

/**
 * The work of a step: multiply-accumulates of the model that it runs, times samples, times passes over them.
 *
 * A stage whose options name a model, which may be a smaller copy of the teacher, runs that one. Undefined where ONNX Runtime cannot tell the model's shapes.
 */
export async function workOf(
  { options }: Pick<Task, 'options'>,
  input: Model,
  teacher: Model,
  { train }: Pick<Splits, 'train'>,
  { seed, task }: Pick<World, 'seed' | 'task'>,
): Promise<number | undefined> {
  const stage: Stage = stages[options.stage]
  const passes = stage.passes(options)
  if (passes === 0) return 0
  const named = modelsIn(options)[0]?.[1]
  const model = named
    ? await openSource(named, { ...shapeFor(train, tasks[task], teacher), seed, teacher })
    : input
  const macs = await macsOf(model)
  return macs === undefined ? undefined : macs * train.size * passes
}

/** The models that the options of a stage name, as the student of distillation, by their paths in the options. */
export const modelsIn = (
  options: object,
  path = '',
): readonly (readonly [path: string, source: StudentSource])[] =>
  Object.entries(options).flatMap(([key, value]) => {
    if (typeof value !== 'object' || value === null) return []
    const source = studentSource.safeParse(value)
    return source.success ? [[path + key, source.data] as const] : modelsIn(value, `${path}${key}.`)
  })

/** Multiply-accumulates of a model for one sample; undefined where shapes are not known. */
export async function macsOf(model: Model): Promise<number | undefined> {
  const types = await inferTypes(model, { batch: 1 })
  return countMacs(model, (value) => {
    const shape = value?.tensor?.dims ?? (value && types.get(value)?.shape)
    return shape?.every((dim) => typeof dim === 'number') ? (shape as number[]) : undefined
  })
}

/** Steps that took less were mostly overhead, and say nothing of the machine's speed, s. */
const tellingSeconds = 2

/** An expected time, and whether it rests on what earlier runs took here. */
export interface Estimate {
  readonly seconds: number
  readonly measured: boolean
}

/** How many earlier steps an estimate rests on at most. */
const witnesses = 5

/**
 * Estimates the time of a step's work; the steps of that stage in the cache say how fast this machine is, of which those
 * count whose work was most like it: small models and small data are slower for their size.
 */
export function estimate(
  stage: string,
  work: number,
  threads: number,
  finished: readonly Listed[],
): Estimate {
  const speeds = finished
    .filter((entry) => entry.stage === stage && entry.work > 0 && entry.seconds >= tellingSeconds)
    .sort((a, b) => unlikeness(a.work, work) - unlikeness(b.work, work))
    .slice(0, witnesses)
    .map((entry) => entry.work / entry.seconds)
    .sort((a, b) => a - b)
  const measured = speeds[Math.floor(speeds.length / 2)]
  const speed = measured ?? assumedThroughput * threads
  return {
    seconds: overheadSeconds + work / speed,
    measured: measured !== undefined || work === 0,
  }
}

/** How far two amounts of work are apart, as the factor between them. */
const unlikeness = (one: number, other: number): number => Math.abs(Math.log(one / other))
