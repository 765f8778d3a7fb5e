// The column of a data set that augmentation changes: the images, or the one column of floats.
import { UserError } from '../base/errors.ts'
import { lengthOf } from '../base/samples.ts'
import { type AugmentOptions, changesSamples } from './augment.ts'
import type { Dataset } from './dataset.ts'
import { mixProbabilities } from './mix.ts'

/** A column of floats as augmentation sees it. */
export interface Varied {
  readonly column: number
  /** Shape of one sample; `[C, H, W]` for images. */
  readonly shape: readonly number[]
  /** Numbers of one sample. */
  readonly width: number
  readonly background?: Float32Array
  readonly white?: Float32Array
  read(index: number, into: Float32Array, offset: number): void
  /** Puts one changed sample into the order that the model takes. */
  arrange(values: Float32Array, offset: number): void
}

/**
 * Finds what these options change; undefined where they change nothing.
 *
 * Samples without a single column that can be meant are a {@link UserError}.
 */
export function varied(dataset: Dataset, augment: AugmentOptions): Varied | undefined {
  if (!changesSamples(augment)) return undefined
  const { image, columns, group } = dataset
  const names = columns.map(({ name }) => name)
  // What belongs to a column (a text's mask, an image's bytes) has a dot in its name.
  const main = names.filter((name) => !name.includes('.'))
  if (mixProbabilities(augment)) {
    const refused =
      dataset.recipe.targetClasses?.form === 'positions'
        ? 'with a class for each position'
        : group > 1
          ? `that belong together in groups of ${group}`
          : main.length > 1
            ? `of several inputs (${main.join(', ')})`
            : undefined
    if (refused)
      throw new UserError(
        `augment: samples ${refused} cannot be mixed — leave mixup and cutmix out`,
      )
  }
  const images = main.filter((name) => names.includes(`${name}.raw`))
  if (images.length > 1)
    throw new UserError(
      `augment: changes one image a sample: the data has ${images.length} (${images.join(', ')}) — leave it out`,
    )
  if (image) return { ...image, width: lengthOf(image.shape) }
  const floats = [...columns.keys()].filter((at) => columns[at]!.dtype === 'float32')
  const [column] = floats
  if (column === undefined || floats.length > 1)
    throw new UserError(
      `augment: needs one input of floats: the data has ${floats.length} — leave it out`,
    )
  const { shape } = columns[column]!
  return {
    column,
    shape,
    width: lengthOf(shape),
    read: (index, into, offset) => dataset.read(index, column, into, offset),
    arrange: () => undefined,
  }
}
