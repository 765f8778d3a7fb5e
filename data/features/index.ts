// The kinds of features: a new one is a file here and a row in `features`.
import { z } from 'zod'
import { audio } from './audio.ts'
import { category } from './category.ts'
import type { Feature } from './feature.ts'
import { image } from './image.ts'
import { number } from './number.ts'
import { table } from './table.ts'
import { tensor } from './tensor.ts'
import { text } from './text.ts'

/** Kinds of features by name. */
export const features = { table, category, number, tensor, image, audio, text } satisfies Record<
  string,
  Feature
>

/** A kind of feature that a recipe may name. */
export type FeatureKind = keyof typeof features

/** The options of any kind, told apart by `kind`. */
export const featureOptions = z.discriminatedUnion('kind', [
  table.options,
  category.options,
  number.options,
  tensor.options,
  image.options,
  audio.options,
  text.options,
])

/** The options of a feature as a recipe gives them, defaults applied. */
export type FeatureOptions = z.output<typeof featureOptions>

/** The feature of a kind; its options have been validated by its own schema. */
export const featureNamed = (kind: FeatureKind): Feature => features[kind] as unknown as Feature
