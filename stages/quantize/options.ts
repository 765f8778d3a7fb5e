// The options of quantization. They are one flat object, so that the command line has a flag for each; options that do
// not go with the scheme are refused.
import { z } from 'zod'
import { type CalibratorName, calibrators } from './calibrators.ts'

const calibration = z
  .strictObject({
    method: z
      .enum(Object.keys(calibrators) as [CalibratorName, ...CalibratorName[]])
      .default('minmax')
      .describe('How the range of an activation is chosen from what it was on the samples.'),
    samples: z.int().min(1).default(512).describe('Calibration samples, of the training data.'),
    share: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('percentile: share of the values inside the range, 0..1; 0.99999 unless given.'),
  })
  .superRefine(({ method, share }, context) => {
    if (share !== undefined && method !== 'percentile')
      context.addIssue({
        code: 'custom',
        path: ['share'],
        message: `goes with method 'percentile', not with '${method}'`,
      })
  })

/** Which options go with which scheme. */
const applicable = {
  static: ['calibration', 'activations', 'weightBits', 'perChannel', 'exclude'],
  dynamic: ['weightBits', 'perChannel', 'exclude'],
  float16: ['exclude'],
} as const satisfies Record<string, readonly string[]>

/** The schema of the stage. */
export const quantizeOptions = z
  .strictObject({
    stage: z.literal('quantize'),
    scheme: z
      .enum(['static', 'dynamic', 'float16'])
      .describe(
        'static: 8 bits with ranges from calibration data; dynamic: 8-bit weights, ranges found at run time; float16: half the bytes.',
      ),
    calibration: calibration.optional().describe('static: how ranges are found.'),
    activations: z
      .enum(['uint8', 'int8'])
      .optional()
      .describe(
        'static: type of activations; uint8 unless given. ONNX Runtime leaves many int8 ones float on x86.',
      ),
    weightBits: z
      .union([z.literal(7), z.literal(8)])
      .optional()
      .describe(
        'Bits of weights; 8, or on x86 processors without VNNI, whose 8-bit products overflow, 7 unless given.',
      ),
    perChannel: z
      .boolean()
      .optional()
      .describe('A scale for each channel of the weights; true unless given.'),
    exclude: z
      .array(z.string())
      .default([])
      .describe("Nodes that stay float32: names, globs, 're:…' or 'op:…'."),
  })
  .superRefine((options, context) => {
    const { stage: _, scheme, ...others } = options
    const known: readonly string[] = applicable[scheme]
    for (const [key, value] of Object.entries(others))
      if (value !== undefined && !known.includes(key))
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `does not go with scheme '${scheme}'`,
        })
  })

/** Resolved options of the stage. */
export type QuantizeOptions = z.output<typeof quantizeOptions>
