// How large a model is: its bytes on the disk, its bytes after gzip, and its weights.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createGzip } from 'node:zlib'
import { explainFileError } from '../base/files.ts'
import { countParameters } from '../onnx/cost.ts'
import type { Model } from '../onnx/graph.ts'
import { modelFiles } from '../onnx/model-files.ts'

/** The size of a model; file sizes include external data. */
export interface Size {
  readonly sizeBytes: number
  /** After gzip at level 9, each file for itself. */
  readonly gzipBytes: number
  readonly parameters: number
  readonly nonzeroParameters: number
}

/**
 * Measures a model's files and counts its parameters.
 *
 * `model` is what `loadModel` made of the file. Files are compressed as a stream, so memory stays flat.
 */
export async function measureSize(path: string, model: Model): Promise<Size> {
  const { parameters, nonzero } = countParameters(model)
  let sizeBytes = 0
  let gzipBytes = 0
  for (const file of await modelFiles(path)) {
    sizeBytes += await fileBytes(file)
    gzipBytes += await compressedBytes(file)
  }
  return { sizeBytes, gzipBytes, parameters, nonzeroParameters: nonzero }
}

async function fileBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

async function compressedBytes(path: string): Promise<number> {
  let bytes = 0
  const source = createReadStream(path)
  const gzip = createGzip({ level: 9 })
  source.on('error', (error) => gzip.destroy(error))
  for await (const piece of source.pipe(gzip)) bytes += (piece as Buffer).length
  return bytes
}
