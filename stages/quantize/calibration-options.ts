// The options of calibration: where ranges come from, and how they are chosen.
import { z } from 'zod'
import { type CalibratorName, calibrators } from './calibrators.ts'

const calibrationOptions = z
  .strictObject({
    method: z
      .enum(Object.keys(calibrators) as [CalibratorName, ...CalibratorName[]])
      .default('minmax')
      .describe(
        'How the range of an activation is chosen from what it was on the samples: minmax: all of it; moving-average: mean extremes of batches; percentile: a share of the values; entropy: least Kullback-Leibler divergence; mse: least squared error; distribution: best for the fitted normal or Laplace distribution.',
      ),
    samples: z.int().min(1).default(512).describe('Calibration samples, of the training data.'),
    share: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('percentile: share of the values inside the range, 0..1; 0.99999 unless given.'),
    from: z
      .enum(['data', 'noise'])
      .optional()
      .describe(
        'What the model is run on: data; or random noise, with activations brought to what the BatchNormalizations of the model say of them. Data unless given, noise where there is none.',
      ),
    file: z
      .string()
      .optional()
      .describe(
        'A file with ranges that save has written (.json), or with activations that were recorded elsewhere (.safetensors, .npz), by the names of the values.',
      ),
    save: z
      .string()
      .optional()
      .describe(
        'A file (.json) that the ranges are written to, relative to the working directory, to be read, changed and given as file.',
      ),
  })
  .superRefine(({ method, share, from, file }, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if (share !== undefined && method !== 'percentile')
      refuse('share', `goes with method 'percentile', not with '${method}'`)
    if (file !== undefined && from !== undefined)
      refuse('from', `goes without 'file', which has what there is to know`)
  })

/** The option `calibration`. */
export const calibrationShape = {
  calibration: calibrationOptions.optional().describe('static: how ranges are found.'),
}

/** Resolved options of calibration. */
export type Calibration = z.output<typeof calibrationOptions>

/** What holds where nothing is said. */
export const defaultCalibration: Calibration & { readonly share: number } = {
  method: 'minmax',
  samples: 512,
  share: 0.99999,
}
