// Putting together report.json: what was measured, on which machine, with which data.
import { describeHost } from '../benchmarks/host.ts'
import { type TaughtPair, uselessTeachers } from '../benchmarks/report/advice.ts'
import { mainFigure } from '../benchmarks/report/metrics.ts'
import type { ForgottenSample, Gate, Report, Variant } from '../benchmarks/report/report.ts'
import { idleZeros } from '../benchmarks/report/zeros.ts'
import { paretoFront } from '../benchmarks/statistics.ts'
import type { OpenData } from '../data/open.ts'
import type { TaskName } from '../tasks/index.ts'
import { packageVersion } from './version.ts'

/** What a report is made of. */
export interface ReportParts {
  readonly name: string
  readonly seed: number
  readonly task: TaskName
  readonly data: Pick<OpenData, 'splits' | 'fingerprint'> & {
    readonly facts: Pick<OpenData['facts'], 'source' | 'classes'>
  }
  /** Whether the data was made up; not unless told. */
  readonly random?: boolean
  /** The resolved recipe, where there was one. */
  readonly recipe?: Readonly<Record<string, unknown>>
  readonly teacher: Variant
  readonly variants: readonly Variant[]
  /** Samples that were forgotten. */
  readonly samples?: readonly ForgottenSample[] | undefined
  readonly gates: readonly Gate[]
  /** Variants that show together whether a teacher was of use; none unless told. */
  readonly taught?: readonly TaughtPair[]
}

/** Adds to what was measured the time, the machine, the data's facts and the Pareto front. */
export async function assembleReport({
  data,
  random = false,
  taught = [],
  samples,
  ...parts
}: ReportParts): Promise<Report> {
  const { splits, facts, fingerprint } = data
  const advice = [...uselessTeachers(parts.variants, taught), ...idleZeros(parts)]
  return {
    version: 1,
    ...parts,
    createdAt: new Date().toISOString(),
    host: { ...(await describeHost()), condense: packageVersion() },
    data: {
      source: facts.source,
      train: splits.train.size,
      validation: splits.validation.size,
      calibration: splits.calibration.size,
      test: splits.test.size,
      fingerprint,
      ...(random && { random }),
    },
    classes: [...facts.classes],
    pareto: paretoOf([parts.teacher, ...parts.variants]),
    ...(samples && { samples }),
    ...(advice.length > 0 && { advice }),
  }
}

/** The variants that none is both more accurate and smaller than; one that failed is not among them. */
const paretoOf = (variants: readonly Variant[]): string[] =>
  paretoFront(
    variants.flatMap(({ id, accuracy, sizeBytes, failed }) =>
      accuracy && failed === undefined
        ? [{ id, value: mainFigure(accuracy).value, cost: sizeBytes }]
        : [],
    ),
  )
