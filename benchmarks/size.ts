// How large a model is: its bytes on the disk, its bytes after gzip and Brotli, and its weights.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createGzip } from 'node:zlib'
import { explainFileError } from '../base/files.ts'
import type { Model } from '../onnx/graph.ts'
import { modelFiles } from '../onnx/model-files.ts'
import { countParameters } from '../onnx/parameters.ts'

/** The size of a model; file sizes include external data. */
export interface Size {
  readonly sizeBytes: number
  /** After gzip at level 9, each file for itself. */
  readonly gzipBytes: number
  /** After Brotli at quality 9 with a window of 16 MiB, each file for itself. */
  readonly brotliBytes: number
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
  let brotliBytes = 0
  for (const file of await modelFiles(path)) {
    const bytes = await fileBytes(file)
    const compressed = [createGzip({ level: 9 }), brotli(bytes)].map((by) =>
      compressedBytes(file, by),
    )
    const [gzip, brotliOf] = await Promise.all(compressed)
    sizeBytes += bytes
    gzipBytes += gzip!
    brotliBytes += brotliOf!
  }
  return { sizeBytes, gzipBytes, brotliBytes, parameters, nonzeroParameters: nonzero }
}

/** The best quality takes fifty times as long, six seconds a megabyte, to save one percent of weights more. */
const brotli = (bytes: number) =>
  createBrotliCompress({
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: Math.min(bytes, 2 ** 31 - 1),
    },
  })

async function fileBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

async function compressedBytes(path: string, by: Transform): Promise<number> {
  let bytes = 0
  const source = createReadStream(path)
  source.on('error', (error) => by.destroy(error))
  for await (const piece of source.pipe(by)) bytes += (piece as Buffer).length
  return bytes
}
