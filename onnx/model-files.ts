// Which files a model consists of: the file itself and those that hold its external data.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { explainFileError } from '../base/files.ts'
import { decodeModel, type TensorProto } from './proto.ts'
import { externalLocation } from './tensor-proto.ts'

/**
 * The paths of all files of a model, its own first.
 *
 * The model must be one that `loadModel` reads, which checks that external data stays in the model's folder.
 */
export async function modelFiles(path: string): Promise<string[]> {
  const locations = new Set<string>()
  collect(decodeModel(await contentOf(path)), locations)
  return [path, ...[...locations].map((location) => join(dirname(path), location))]
}

async function contentOf(path: string): Promise<Uint8Array> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(path)
    // Not as a Buffer: slices of that look like copies and are none.
    return new Uint8Array(buffer, byteOffset, byteLength)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

/** Looks for tensors anywhere in a message: initializers, attributes, functions, sparse values. */
function collect(message: unknown, locations: Set<string>): void {
  if (message === null || typeof message !== 'object' || ArrayBuffer.isView(message)) return
  const { dataLocation, externalData } = message as Partial<TensorProto>
  if (dataLocation === externalLocation)
    for (const { key, value } of externalData ?? []) if (key === 'location') locations.add(value)
  for (const inner of Object.values(message)) collect(inner, locations)
}
