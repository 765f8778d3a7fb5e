// A model.json of TensorFlow.js: what it says, checked before anything is made of it.
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import { explainFileError } from '../../base/files.ts'

/** A larger model.json is not read: weights are in files of their own, and a topology is small. */
const largestFile = 256 * 2 ** 20

/** A name that may stand in a message and in a file. */
export const plainName = z
  .string()
  .regex(/^[^\p{Cc}]{1,1000}$/u, 'expected a name of at most 1000 characters in one line')

/** Text of a file as messages show it: one line, and not all of a long one. */
export const shown = (text: string): string => text.replace(/\p{Cc}/gu, '?').slice(0, 200)

const quantization = z.object({
  dtype: z.enum(['uint8', 'uint16', 'float16']),
  scale: z.number().optional(),
  min: z.number().optional(),
})

const weightEntry = z.object({
  name: plainName,
  shape: z.array(z.int().min(0)).max(16),
  dtype: z.enum(['float32', 'int32', 'bool', 'uint8', 'float16', 'string', 'complex64']),
  quantization: quantization.nullish(),
})

const modelFile = z.object({
  format: z.enum(['layers-model', 'graph-model']).nullish(),
  modelTopology: z.looseObject({}),
  weightsManifest: z
    .array(z.object({ paths: z.array(plainName).max(100_000), weights: z.array(weightEntry) }))
    .default([]),
  signature: z.unknown().optional(),
  userDefinedMetadata: z.unknown().optional(),
})

/** One weight as the manifest announces it. */
export type WeightEntry = z.output<typeof weightEntry>

/** A model.json whose outer form is checked; the topology is for the converters to check. */
export type ModelFile = z.output<typeof modelFile>

/**
 * Reads a model.json.
 *
 * A file that cannot be read, is no JSON or no model of TensorFlow.js is a {@link UserError}.
 */
export function readModelFile(path: string): ModelFile {
  const result = modelFile.safeParse(readJson(path))
  if (!result.success)
    throw new UserError(
      `${path}: no model of TensorFlow.js: ${firstIssue(result.error)} — save or convert the model again`,
    )
  return result.data
}

/** Whether a file is a model.json of TensorFlow.js, by a look at its keys; false for whatever cannot be read. */
export function isTfjs(path: string): boolean {
  if (!path.endsWith('.json')) return false
  try {
    const content = readJson(path)
    return (
      typeof content === 'object' && content !== null && Object.hasOwn(content, 'modelTopology')
    )
  } catch (thrown) {
    if (thrown instanceof UserError) return false
    throw thrown
  }
}

function readJson(path: string): unknown {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new UserError(`${path}: is no file — give the path of a model.json`)
    if (stats.size > largestFile)
      throw new UserError(
        `${path}: too large for a model.json: ${stats.size} bytes — weights belong into shards beside it`,
      )
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (thrown) {
    if (thrown instanceof SyntaxError)
      throw new UserError(`${path}: no JSON: ${messageOf(thrown)} — save the model again`)
    throw explainFileError(path, thrown)
  }
}

/** What is wrong first, and where, in one line. */
export const firstIssue = (error: z.ZodError): string => {
  const [issue] = error.issues
  return `${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'not as expected'}`
}
