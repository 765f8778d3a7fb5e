// Whether, and how many, samples of the data are shown in a report.
import { z } from 'zod'
import type { SamplesOptions } from '../benchmarks/forgotten.ts'
import type { OpenData } from '../data/open.ts'

/** Samples of a report where nobody asks for more or fewer. */
export const defaultSamples = 24

/** Schema of `benchmark.samples`. */
export const samplesOption = z
  .union([z.literal(false), z.int().min(1).max(96)], {
    error: 'expected a number from 1 to 96, or false',
  })
  .default(defaultSamples)
  .describe(
    'How many test samples that the teacher has right and a variant has wrong the report shows at most, with their content; false keeps samples out of it.',
  )

/** What the benchmark is told. */
export const samplesOf = (
  count: number | false,
  { show }: Pick<OpenData, 'show'>,
): { readonly samples?: SamplesOptions } => (count === false ? {} : { samples: { count, show } })
