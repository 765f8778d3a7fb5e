// preparation.json: how samples become what the models of a run take, for whoever deploys them.
import type { OpenData } from '../data/open.ts'
import type { LoadedRecipe } from './read-recipe.ts'

/**
 * The text of preparation.json: the tensors of a sample, the features with what they learned from the training split
 * (vocabularies, means, categories), preprocessing, inputs, and the names of classes and targets.
 */
export function preparationOf({ recipe }: LoadedRecipe, { facts, splits }: OpenData): string {
  const { task, data } = recipe
  const { columns, classes, features, learned } = facts
  const { targetNames, recipe: prepared, inputs } = splits.test
  const content = {
    version: 1,
    task,
    columns: columns.filter(({ name }) => !/\.(raw|planes)$/.test(name)),
    // Bytes are scaled to 0..1 unless told.
    ...(splits.test.image && { preprocess: { scale: 1 / 255, ...prepared.preprocess } }),
    ...(inputs && { inputs }),
    features,
    learned,
    ...(classes.length > 0 && { classes }),
    ...(targetNames.length > 0 && { targets: targetNames, targetScale: data.targetScale }),
  }
  return `${JSON.stringify(content, null, 2)}\n`
}
