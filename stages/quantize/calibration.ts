// Where the ranges of activations come from: a file, activations recorded elsewhere, the calibration data, or noise. What
// was measured is kept, so that the same ranges are not measured twice.
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { sha256, sha256OfFile } from '../../base/hash.ts'
import { firstSamples } from '../../base/samples.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { openMeasurements } from '../measurements.ts'
import type { StageContext } from '../stage.ts'
import type { Range } from './arithmetic.ts'
import { type CalibrationOptions, measureRanges, requireFinite } from './calibrate.ts'
import { readCalibration, writeCalibration } from './calibration-file.ts'
import { type Calibration, defaultCalibration } from './calibration-options.ts'
import type { CalibratorOptions } from './calibrators.ts'
import { type LayerStatistics, matchStatistics, noiseFor } from './data-free.ts'
import { isDump, rangesFromDump } from './dump.ts'

/** What is to be calibrated. */
export interface CalibrationSubject {
  /** The model in the form that is going to be quantized. */
  readonly model: Model
  /** The values of it whose ranges are wanted. */
  readonly values: readonly Value[]
  /** What is known of its values from training, for calibration without data. */
  readonly statistics: ReadonlyMap<string, LayerStatistics>
  /** What error messages call the model. */
  readonly where: string
}

/** How activations are going to be stored. */
export type ActivationStorage = Required<Pick<CalibratorOptions, 'levels' | 'symmetric'>>

/** What calibration found. */
export interface Calibrated {
  /** Finite, of every value that was asked for but those of branches that no sample takes. */
  readonly ranges: ReadonlyMap<Value, Range>
  /** For people: how they were found, e.g. "entropy over 512 samples". */
  readonly summary: string
  /** What the user should know of it, a line each. */
  readonly advice: readonly string[]
}

/** What a source gives; ranges may be not finite. */
type Found = Pick<Calibrated, 'ranges' | 'summary'> & { readonly advice?: readonly string[] }

interface Request extends CalibrationSubject {
  readonly calibration: Calibration
  readonly options: CalibrationOptions
  readonly context: StageContext
}

/**
 * Finds the ranges of activations.
 *
 * Values that were not finite, a file that lacks a value or is damaged, no samples, and a model that noise cannot be
 * made for are a {@link UserError}.
 */
export async function calibrate(
  subject: CalibrationSubject,
  asked: Calibration | undefined,
  storage: ActivationStorage,
  context: StageContext,
): Promise<Calibrated> {
  const calibration = asked ?? defaultCalibration
  const options: CalibrationOptions = {
    ...storage,
    method: calibration.method,
    share: calibration.share ?? defaultCalibration.share,
    where: subject.where,
    threads: context.threads,
    check: () => throwIfAborted(context.signal),
    progress: (done) => context.progress({ done: 0.9 * done }),
  }
  const request = { ...subject, calibration, options, context }
  const { ranges, summary, advice = [] } = await sources[sourceOf(calibration, context)](request)
  requireFinite(ranges, subject.where)
  tellSilent(ranges, context)
  if (calibration.save !== undefined)
    writeCalibration(calibration.save, {
      measured: summary,
      ranges: new Map([...ranges].map(([{ name }, range]) => [name, range])),
    })
  return { ranges, summary, advice }
}

function sourceOf({ file, from }: Calibration, { data }: StageContext): keyof typeof sources {
  if (file !== undefined) return isDump(file) ? 'dump' : 'file'
  return from ?? (data ? 'data' : 'noise')
}

const sources: Readonly<
  Record<'file' | 'dump' | 'data' | 'noise', (request: Request) => Promise<Found>>
> = {
  async file({ calibration, values }) {
    const path = calibration.file!
    const { measured, ranges } = readCalibration(path)
    return {
      ranges: new Map(
        values.map((value) => {
          const range = ranges.get(value.name)
          if (!range)
            throw new UserError(
              `${path}: has no range of '${value.name}' — measure this model, and write its ranges with calibration.save`,
            )
          return [value, range]
        }),
      ),
      summary: `ranges of a file (${measured})`,
    }
  },

  async dump(request) {
    const { calibration, options, model, values, context } = request
    const path = calibration.file!
    const about = [await sha256OfFile(path), calibration.samples]
    const ranges = await remembered(request, model, about, async () => {
      const found = await rangesFromDump(path, model, values, calibration.samples, options)
      if (found.samples > 0)
        context.log(
          `${path}: has ${found.recorded} of ${values.length} activations; the model was run on ${found.samples} of its samples for the others`,
        )
      return found.ranges
    })
    return { ranges, summary: `${options.method} over recorded activations` }
  },

  async data(request) {
    const { calibration, options, model, values, context, where } = request
    const split = context.data?.calibration
    if (!split || split.size === 0)
      throw new UserError(
        `${where}: there is no calibration data: ${split ? 'it has no samples' : 'none is given'} — name the data, or calibrate from 'noise' or a file`,
      )
    // Every prefix of the calibration split holds the classes in their proportions.
    const samples = firstSamples(split, calibration.samples)
    const about = [split.fingerprint, samples.size]
    const ranges = await remembered(request, model, about, () =>
      measureRanges(model, values, samples, options),
    )
    return { ranges, summary: `${options.method} over ${samples.size} samples` }
  },

  async noise(request) {
    const { calibration, options, model, values, statistics, context, where } = request
    const { seed, log } = context
    const matching = cloneModel(model)
    const count = await matchStatistics(matching, statistics)
    const samples = noiseFor(model, calibration.samples, seed, where)
    const ranges = await remembered(request, matching, ['noise', seed, samples.size], () =>
      measureRanges(matching, values, samples, options),
    )
    const matched =
      count > 0
        ? `matched to ${count} BatchNormalization${count === 1 ? '' : 's'}`
        : 'with no BatchNormalization to match it to'
    const advice = `activation ranges come from random noise ${matched}, not from data — calibrate on data for the accuracy that the scheme can have`
    log(`advice: ${advice}`)
    return {
      ranges,
      summary: `${options.method} over ${samples.size} samples of random noise ${matched}`,
      advice: [advice],
    }
  },
}

/** Measures ranges, or gives those that were measured before on the same model, samples and terms. */
async function remembered(
  { values, options, context }: Request,
  model: Model,
  about: unknown,
  measure: () => Promise<ReadonlyMap<Value, Range>>,
): Promise<ReadonlyMap<Value, Range>> {
  const { method, share, levels, symmetric, where } = options
  const names = values.map(({ name }) => name)
  const remember = openMeasurements<Record<string, readonly [number, number] | null>>(
    'ranges',
    [sha256(serializeModel(model)), about],
    context.shared,
    (found) => names.every((name) => found[name] === null || isRange(found[name])),
  )
  const terms = { method, share, levels, symmetric, names: names.toSorted() }
  const found = await remember(terms, async () => {
    const ranges = await measure()
    // What is not finite cannot be kept.
    requireFinite(ranges, where)
    return Object.fromEntries(
      values.map((value) => {
        const range = ranges.get(value)
        return [value.name, range ? [range.min, range.max] : null]
      }),
    )
  })
  return new Map(
    values.flatMap((value) => {
      const ends = found[value.name]
      return ends ? [[value, { min: ends[0], max: ends[1] }] as const] : []
    }),
  )
}

const isRange = (found: unknown): boolean =>
  Array.isArray(found) && found.length === 2 && found.every((end) => Number.isFinite(end))

/** What is always zero has no range, and is stored with the scale 1. */
function tellSilent(ranges: ReadonlyMap<Value, Range>, { log }: StageContext): void {
  const silent = [...ranges].filter(([, { min, max }]) => min === 0 && max === 0)
  if (silent.length === 0) return
  const others = silent.length > 1 ? ` and ${silent.length - 1} more` : ''
  log(
    `'${silent[0]![0].name}'${others}: 0 on all calibration samples — check the data, or prune what makes it`,
  )
}
