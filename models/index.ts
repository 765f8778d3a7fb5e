// The reference architectures: a new one is a file here and a row in this table.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import type { Model } from '../onnx/graph.ts'
import type { Architecture } from './architecture.ts'
import type { ModelShape } from './layers.ts'
import { lenet } from './lenet.ts'
import { mlp } from './mlp.ts'
import { mobilenet } from './mobilenet.ts'
import { resnet } from './resnet.ts'

/** Architecture by name. */
export const architectures = { mlp, lenet, resnet, mobilenet }

/** Schema of an architecture with its own options. */
export const architectureOptions = z.discriminatedUnion('architecture', [
  mlp.options,
  lenet.options,
  resnet.options,
  mobilenet.options,
])

/** An architecture with its options, resolved. */
export type ArchitectureOptions = z.output<typeof architectureOptions>

/**
 * Builds an untrained model: input `input` `[N, ...shape]`, output `logits` `[N, classes]`, float32.
 *
 * The same options, shape and seed give the same weights. Samples that the architecture cannot take are a
 * {@link UserError}.
 */
export function buildArchitecture(
  options: ArchitectureOptions,
  { seed, ...shape }: ModelShape & { readonly seed: number },
): Model {
  const architecture: Architecture = architectures[options.architecture]
  checkSamples(options.architecture, architecture, shape.shape)
  return architecture.build(options, shape, random(seed, 'weights', options.architecture))
}

function checkSamples(name: string, { images }: Architecture, shape: readonly number[]): void {
  if (!images) return
  const where = `architecture '${name}'`
  if (shape.length !== 3)
    throw new UserError(
      `${where}: takes images [C,H,W]: the data has [${shape.join(',')}] — use 'mlp'`,
    )
  const { minimumSide } = images
  if (shape.slice(1).some((side) => side < minimumSide))
    throw new UserError(
      `${where}: takes images of at least ${minimumSide}x${minimumSide}: the data has [${shape.join(',')}] — use 'mlp' or 'resnet'`,
    )
}
