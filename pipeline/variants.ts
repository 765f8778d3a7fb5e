// The models in a run's folder: each is the stage's result, stamped with where it comes from.
import { join } from 'node:path'
import { makeFolder } from '../base/files.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { saveModel } from '../onnx/save.ts'
import { withMetadata } from '../stages/export.ts'
import type { RecipeInput } from './recipe.ts'
import { packageVersion } from './version.ts'

/** Where a model comes from, as it is written into its metadata. */
export interface Origin {
  /** Id of the variant. */
  readonly variant: string
  /** The recipe as it was written, with `--set` applied. */
  readonly recipe: RecipeInput
  readonly seed: number
  /** Hash of the teacher that it was compared with. */
  readonly teacherHash: string
}

/** The path of a variant, relative to the run's folder. */
export const variantFile = (id: string): string => `variants/${id}/model.onnx`

/** Writes a variant into a run's folder and gives its path. */
export async function writeVariant(folder: string, model: Model, origin: Origin): Promise<string> {
  const path = join(folder, variantFile(origin.variant))
  makeFolder(join(folder, 'variants', origin.variant))
  await saveModel(withMetadata(model, stampsOf(origin)), path)
  return path
}

/** Adds to a variant what only its measurement could tell; weights and graph stay as they are. */
export async function stampRetention(path: string, retention: number): Promise<Model> {
  const model = withMetadata(await loadModel(path), { 'condense.retention': String(retention) })
  await saveModel(model, path)
  return model
}

const stampsOf = ({ variant, recipe, seed, teacherHash }: Origin) => ({
  'condense.version': packageVersion(),
  'condense.variant': variant,
  'condense.recipe': JSON.stringify(recipe),
  'condense.seed': String(seed),
  'condense.teacher': teacherHash,
})
