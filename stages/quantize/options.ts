// The options of quantization. They are one flat object, so that the command line has a flag for each; options that do
// not go with the scheme are refused. A scheme is a row of `applicable` and one of `schemes` in index.ts.
import { z } from 'zod'
import { awareIssues, awareShape } from './aware/options.ts'
import { calibrationShape } from './calibration-options.ts'
import { halfApplicable, halfShape } from './half.ts'
import { mixedShape } from './mixed.ts'
import { providersShape } from './providers-agree.ts'
import { repairIssues, repairsShape } from './repair/repairs.ts'
import { weightsApplicable, weightsIssues, weightsShape } from './weights/schemes.ts'

/** Options of integers: what is stored in which type. */
const integerShape = {
  activations: z
    .enum(['uint8', 'int8', 'uint16', 'int16'])
    .optional()
    .describe(
      'static: type of activations; uint8 unless given. On x86 ONNX Runtime leaves many int8 ones float, but for format qoperator; those of 16 bits it computes in float everywhere.',
    ),
  weights: z
    .enum(['int8', 'uint8'])
    .optional()
    .describe('static: type of weights; int8 unless given.'),
  symmetric: z
    .enum(['none', 'weights', 'activations', 'both'])
    .optional()
    .describe(
      'static: whose zero lies in the middle of the integers; that of weights unless given.',
    ),
  format: z
    .enum(['qdq', 'qoperator'])
    .optional()
    .describe(
      'static: qdq writes QuantizeLinear and DequantizeLinear around float operators, which every runtime fuses as it can; qoperator writes the integer operators themselves; qdq unless given.',
    ),
  weightBits: z
    .union([z.literal(7), z.literal(8)])
    .optional()
    .describe(
      'Bits of weights, 8 unless given; but where 8-bit products overflow, as on x86 processors without VNNI, static int8 weights have 7, and dynamic ones are unsigned.',
    ),
  perChannel: z
    .boolean()
    .optional()
    .describe('A scale for each channel of the weights; true unless given.'),
  embeddings: z
    .boolean()
    .optional()
    .describe(
      'Store the tables of embeddings in 8 bits, with a scale for each row, where that takes fewer bytes; true unless given.',
    ),
}

/** Options of all schemes. */
const commonShape = {
  exclude: z
    .array(z.string())
    .default([])
    .describe("Nodes that stay float32: names, globs, 're:…' or 'op:…'."),
  quantized: z
    .enum(['refuse', 'keep', 'extend'])
    .default('refuse')
    .describe(
      'What to do with a model that is quantized already: refuse it, keep it as it is, or extend it, so that its float layers are quantized too.',
    ),
  ...mixedShape,
  ...providersShape,
}

/** Which options go with which scheme, besides those that go with all. */
const applicable = {
  static: [
    'calibration',
    ...Object.keys(integerShape),
    ...Object.keys(repairsShape),
    ...Object.keys(awareShape),
  ],
  dynamic: ['weightBits', 'perChannel', 'embeddings', ...Object.keys(repairsShape)],
  ...halfApplicable,
  ...weightsApplicable,
} as const satisfies Record<string, readonly string[]>

/** The name of a scheme. */
export type SchemeName = keyof typeof applicable

const always: ReadonlySet<string> = new Set(['stage', 'scheme', ...Object.keys(commonShape)])

/** The schema of the stage. */
export const quantizeOptions = z
  .strictObject({
    stage: z.literal('quantize'),
    scheme: z
      .enum(Object.keys(applicable) as [SchemeName, ...SchemeName[]])
      .describe(
        'static: 8 bits with ranges from calibration data; dynamic: 8-bit weights, ranges found at run time; float16: half the bytes, computed in float16; bfloat16: weights stored in half the bytes and computed in float32; float8: in a quarter; weight-only: weights in 8, 4 or 2 bits with a scale for each block; ternary, binary, clusters: weights of few values, stored as codes.',
      ),
    ...calibrationShape,
    ...integerShape,
    ...repairsShape,
    ...awareShape,
    ...halfShape,
    ...weightsShape,
    ...commonShape,
  })
  .superRefine((options, context) => {
    const { scheme } = options
    const known: readonly string[] = applicable[scheme]
    for (const [key, value] of Object.entries(options))
      if (value !== undefined && !always.has(key) && !known.includes(key))
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `does not go with scheme '${scheme}'`,
        })
    if (known.includes('repair'))
      for (const { path, message } of repairIssues(options))
        context.addIssue({ code: 'custom', path: [path], message })
    for (const { path, message } of [...weightsIssues(options), ...awareIssues(options)])
      context.addIssue({ code: 'custom', path: [path], message })
    const { format, activations } = options
    if (format === 'qoperator' && activations?.endsWith('16'))
      context.addIssue({
        code: 'custom',
        path: ['activations'],
        message: `${activations} does not go with format 'qoperator', whose operators have 8 bits`,
      })
  })

/** Resolved options of the stage. */
export type QuantizeOptions = z.output<typeof quantizeOptions>
