// The reference architectures: a new one is a file here and a row in this table.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import type { Architecture } from './architecture.ts'
import { autoencoder } from './autoencoder.ts'
import { bert } from './bert.ts'
import { bilstmTagger } from './bilstm-tagger.ts'
import { conv1d } from './conv1d.ts'
import { dsCnn } from './ds-cnn.ts'
import { described } from './intake.ts'
import type { ModelShape } from './layers.ts'
import { lenet } from './lenet.ts'
import { lenet5 } from './lenet-5.ts'
import { lenet300100 } from './lenet-300-100.ts'
import { mlp } from './mlp.ts'
import { mobilenet } from './mobilenet.ts'
import { mobilenetV1 } from './mobilenet-v1.ts'
import { mobilenetV2 } from './mobilenet-v2.ts'
import { mobilenetV3Small } from './mobilenet-v3-small.ts'
import { resnet } from './resnet.ts'
import { twoTower } from './two-tower.ts'
import { vgg } from './vgg.ts'
import { vit } from './vit.ts'
import { wideResnet } from './wide-resnet.ts'

/** Architecture by name. */
export const architectures = {
  mlp,
  'lenet-300-100': lenet300100,
  lenet,
  'lenet-5': lenet5,
  resnet,
  'wide-resnet': wideResnet,
  vgg,
  mobilenet,
  'mobilenet-v1': mobilenetV1,
  'mobilenet-v2': mobilenetV2,
  'mobilenet-v3-small': mobilenetV3Small,
  'ds-cnn': dsCnn,
  conv1d,
  'bilstm-tagger': bilstmTagger,
  bert,
  vit,
  autoencoder,
  'two-tower': twoTower,
}

/** What every architecture has besides its own options. */
const common = {
  seed: z
    .int()
    .min(0)
    .optional()
    .describe(
      "Draws the initial weights, the recipe's unless told: teachers of an ensemble differ by it.",
    ),
}

/** Schema of an architecture with its own options. */
export const architectureOptions = z.discriminatedUnion('architecture', [
  mlp.options.safeExtend(common),
  lenet300100.options.safeExtend(common),
  lenet.options.safeExtend(common),
  lenet5.options.safeExtend(common),
  resnet.options.safeExtend(common),
  wideResnet.options.safeExtend(common),
  vgg.options.safeExtend(common),
  mobilenet.options.safeExtend(common),
  mobilenetV1.options.safeExtend(common),
  mobilenetV2.options.safeExtend(common),
  mobilenetV3Small.options.safeExtend(common),
  dsCnn.options.safeExtend(common),
  conv1d.options.safeExtend(common),
  bilstmTagger.options.safeExtend(common),
  bert.options.safeExtend(common),
  vit.options.safeExtend(common),
  autoencoder.options.safeExtend(common),
  twoTower.options.safeExtend(common),
])

/** An architecture with its options, resolved. */
export type ArchitectureOptions = z.output<typeof architectureOptions>
/** An architecture with those of its options that are not the defaults. */
export type ArchitectureInput = z.input<typeof architectureOptions>

/**
 * Builds an untrained model: the inputs of the shape with a batch `N` in front, and one float32 output, which is
 * `logits` `[N, outputs]` (`[N, positions, outputs]` of a tagger) unless the architecture says otherwise.
 *
 * The same options, shape and seed give the same weights; a seed among the options comes first. Inputs that the architecture cannot take are a
 * {@link UserError}.
 */
export function buildArchitecture(
  options: ArchitectureInput,
  { seed, ...shape }: ModelShape & { readonly seed: number },
): Model {
  const whole = architectureOptions.parse(options)
  const architecture: Architecture = architectures[whole.architecture]
  checkShape(architecture, whole, shape)
  return architecture.build(whole, shape, random(whole.seed ?? seed, 'weights', whole.architecture))
}

function checkShape(
  { intake, tags }: Architecture,
  options: ArchitectureOptions,
  shape: ModelShape,
): void {
  const where = `architecture '${options.architecture}'`
  const refusal = intake(shape, options)
  if (refusal)
    throw new UserError(
      `${where}: takes ${refusal.takes}: the data has ${described(shape.inputs)} — ${refusal.instead}`,
    )
  if (shape.positions !== undefined && !tags)
    throw new UserError(
      `${where}: gives one answer a sample: the data wants one for each of ${shape.positions} positions — use 'bert' or 'bilstm-tagger'`,
    )
}
