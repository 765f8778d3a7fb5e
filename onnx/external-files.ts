// Which files lie beside a model, without opening them: what must be fetched with it.
import { readFile } from 'node:fs/promises'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import { quote } from './invalid.ts'
import { decodeModel, type TensorProto } from './proto.ts'
import { externalLocation } from './tensor-proto.ts'

/**
 * The locations of a model's external data, relative to its folder, each once; none for what is no model.
 *
 * A location outside the model's folder is a {@link UserError}.
 */
export async function externalFiles(path: string): Promise<string[]> {
  const locations = new Set<string>()
  for (const { externalData } of externalTensors(await messageOf(path)))
    for (const { key, value } of externalData) if (key === 'location') locations.add(value)
  for (const location of locations)
    if (!isInside(location))
      throw new UserError(
        `${path}: external data ${quote(location)} lies outside the model's folder — export the model again`,
      )
  return [...locations]
}

async function messageOf(path: string): Promise<unknown> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
  try {
    return decodeModel(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch {
    // Whoever loads it says what is wrong.
    return undefined
  }
}

/** Tensors are in graphs, in attributes, in functions: wherever they are, they look the same. */
function* externalTensors(message: unknown): Generator<TensorProto> {
  const left: unknown[] = [message]
  while (left.length > 0) {
    const next = left.pop()
    if (typeof next !== 'object' || next === null || ArrayBuffer.isView(next)) continue
    if ('externalData' in next && (next as TensorProto).dataLocation === externalLocation)
      yield next as TensorProto
    else for (const inner of Object.values(next)) left.push(inner)
  }
}

function isInside(location: string): boolean {
  const parts = location.split(/[\\/]/)
  return (
    location !== '' &&
    !/[\p{Cc}:]/u.test(location) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..')
  )
}
