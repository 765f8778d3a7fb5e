// Where a model comes from: a file, or a reference architecture to be trained.
import { z } from 'zod'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { architectureOptions, buildArchitecture } from './index.ts'
import type { ModelShape } from './layers.ts'

/** Schema of a model's file. */
const modelFile = z.strictObject({
  file: z.string().min(1).describe('An ONNX file; in a recipe, relative to the recipe.'),
})

/** Schema of a model's origin: `{ file }` or `{ architecture, … }`. */
export const modelSource = z
  .union([modelFile, architectureOptions])
  .describe('A model: an ONNX file, or a reference architecture with its options.')

/** A model's origin, resolved. */
export type ModelSource = z.output<typeof modelSource>

/** Loads the file, or builds the architecture untrained; see {@link buildArchitecture}. */
export async function openSource(
  source: ModelSource,
  build: ModelShape & { readonly seed: number },
): Promise<Model> {
  return 'file' in source ? await loadModel(source.file) : buildArchitecture(source, build)
}
