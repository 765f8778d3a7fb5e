// Where a model comes from: a file, a reference architecture to be trained, or the teacher of which it is a smaller copy.
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { dropLayers, dropLayersOptions } from './drop-layers.ts'
import { locateModel } from './fetch.ts'
import type { FetchContext } from './fetch-context.ts'
import { architectureOptions, buildArchitecture } from './index.ts'
import type { ModelShape } from './layers.ts'
import { shrinkModel, shrinkOptions } from './shrink.ts'
import { convertTfjs } from './tfjs/convert.ts'
import { isTfjs } from './tfjs/model-file.ts'

/** Schema of a model's file. */
const modelFile = z.strictObject({
  file: z
    .string()
    .min(1)
    .describe(
      'An ONNX file, a model.json of TensorFlow.js, or a folder laid out as on the Hugging Face Hub, in a recipe relative to the recipe; or hf:owner/name[@revision][/path], or an http(s) address.',
    ),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits')
    .optional()
    .describe('What the file must hash to.'),
  maximumBytes: z
    .int()
    .min(1)
    .optional()
    .describe('How much may be downloaded at most, 4 GiB unless told.'),
})

/** Schema of a model's origin: `{ file }` or `{ architecture, … }`. */
export const modelSource = z
  .union([modelFile, architectureOptions])
  .describe('A model: an ONNX file, or a reference architecture with its options.')

/** A model's origin, resolved. */
export type ModelSource = z.output<typeof modelSource>

/** Schema of a student's origin: that of any model, or `{ shrink, … }` and `{ layers, … }` of the teacher. */
export const studentSource = z
  .union([modelFile, architectureOptions, shrinkOptions, dropLayersOptions])
  .describe(
    'A student: an ONNX file, a reference architecture with its options, or a narrower (shrink) or shallower (layers) copy of the teacher.',
  )

/** A student's origin, resolved. */
export type StudentSource = z.output<typeof studentSource>

/** What a model is built for; `teacher` is what smaller copies are made of, `log` is told what they leave out. */
export interface SourceBuilding extends ModelShape {
  readonly seed: number
  readonly teacher?: Model | undefined
  readonly log?: ((line: string) => void) | undefined
}

/**
 * Loads the file, fetched if need be, builds the architecture untrained, or copies a part of the teacher; see
 * {@link locateModel}, {@link buildArchitecture}, {@link shrinkModel} and {@link dropLayers}.
 *
 * Without a `context` nothing can be fetched: that is for sources that were located before. A copy where there is no
 * teacher is a {@link UserError}.
 */
export async function openSource(
  source: StudentSource,
  { teacher, log, ...build }: SourceBuilding,
  context?: FetchContext,
): Promise<Model> {
  if ('architecture' in source) return buildArchitecture(source, build)
  if (!('file' in source)) {
    if (!teacher)
      throw new UserError(
        `a model that is a smaller copy of the teacher: there is no teacher: ${JSON.stringify(source)} — name a file or an architecture`,
      )
    const derivation = { ...build, teacher, log }
    return 'shrink' in source
      ? await shrinkModel(source, derivation)
      : await dropLayers(source, derivation)
  }
  const { file } = await locateModel(source, context)
  return isTfjs(file) ? await convertTfjs(file) : await loadModel(file)
}
