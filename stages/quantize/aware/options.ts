// Options of quantization-aware training: a training as every stage has it, and what learns besides the weights.
import { z } from 'zod'
import { answersOption, chosenLosses, scoreOption, stageTrainingOptions } from '../../training.ts'

/** The schema; unless given there is no training. */
const awareOptions = z
  .strictObject({
    ...stageTrainingOptions,
    epochs: stageTrainingOptions.epochs.default(5),
    teacher: z
      .enum(['float', 'recipe'])
      .default('float')
      .describe(
        "Who teaches: the float model that is quantized, or the recipe's teacher, which may know more.",
      ),
    labels: z
      .boolean()
      .default(false)
      .describe("Trains with the task's losses on labels, without a teacher."),
    losses: chosenLosses(
      'those of the task for distillation (with temperatures of at most 2 for weights of 5 or 6 bits and 1 for fewer), or with labels: true for labels',
    ),
    answers: answersOption,
    score: scoreOption,
    learn: z
      .enum(['lsq', 'pact', 'none'])
      .default('lsq')
      .describe(
        'What learns besides the weights. lsq: the steps of weights and activations; pact: where activations that are not below zero are clipped; none: nothing, ranges follow the batches. Without lsq weights of 2 bits are ternary, as in ternary weight networks.',
      ),
    weightBits: z
      .int()
      .min(2)
      .max(8)
      .optional()
      .describe(
        'Bits of weights, which have 2^(bits - 1) - 1 levels on each side of zero; those of the stage unless given.',
      ),
    activationBits: z
      .int()
      .min(4)
      .max(16)
      .optional()
      .describe(
        'Bits of activations that are used, of those that their type has; all unless given.',
      ),
    momentum: z
      .number()
      .min(0)
      .lt(1)
      .default(0.95)
      .describe('What ranges that follow the batches keep of themselves in a step.'),
    observe: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('Share of all steps after which these ranges stay as they are.'),
    clippingDecay: z
      .number()
      .min(0)
      .default(2e-4)
      .describe('pact: factor of the squares of the clipping bounds in the loss.'),
    keepZeros: z
      .boolean()
      .default(true)
      .describe('Weights that are zero stay zero, so that pruning holds.'),
    keepClusters: z
      .boolean()
      .default(true)
      .describe(
        'Weights of layers that have few different ones stay equal to those that they are equal to.',
      ),
  })
  .superRefine(({ labels, losses, engine, batchNormalization }, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message })
    if (labels && losses)
      issue('labels', 'does not go with losses, which say by themselves whether labels are needed')
    if (engine === 'tfjs') issue('engine', "'tfjs' cannot train through quantization — use 'onnx'")
    if (batchNormalization === 're-estimate')
      issue(
        'batchNormalization',
        "'re-estimate' does not go with it, for ranges are kept like statistics — use 'update' or 'freeze'",
      )
  })
  .describe(
    'static: trains the model with the rounding of quantization in it, so that the weights learn to bear it.',
  )

/** The options, resolved. */
export type AwareOptions = z.output<typeof awareOptions>

/** The option of the stage. */
export const awareShape = { aware: awareOptions.optional() }

/** Repairs that change what is stored. */
const afterwards: ReadonlySet<string> = new Set(['bias-correction', 'adaround'])

/** What does not go with an aware training. */
export function awareIssues(options: {
  readonly aware?: AwareOptions | undefined
  readonly activations?: string | undefined
  readonly weights?: string | undefined
  readonly symmetric?: string | undefined
  readonly quantized?: string | undefined
  readonly repair?: readonly string[] | undefined
}): { readonly path: string; readonly message: string }[] {
  const { aware, activations = 'uint8', weights, symmetric = 'weights', quantized } = options
  const { repair = [] } = options
  if (!aware) return []
  const issues: { path: string; message: string }[] = []
  const refuse = (path: string, message: string) => issues.push({ path, message })
  if (weights === 'uint8') refuse('weights', "uint8 does not go with 'aware' — use int8")
  if (symmetric !== 'weights' && symmetric !== 'both')
    refuse('symmetric', `'${symmetric}' does not go with 'aware' — use 'weights' or 'both'`)
  if (quantized === 'extend')
    refuse('quantized', "'extend' does not go with 'aware' — train the float model")
  for (const name of repair)
    if (afterwards.has(name))
      refuse(
        'repair',
        `'${name}' does not go with 'aware', which has chosen all roundings — leave it out`,
      )
  const bits = activations.endsWith('16') ? 16 : 8
  if ((aware.activationBits ?? bits) > bits)
    refuse(
      'activations',
      `${activations} has fewer than the ${aware.activationBits} bits of aware.activationBits — use uint16 or int16`,
    )
  return issues
}
