// A model that stages start from, on disk or in memory, known by the hash of its bytes.
import { stat } from 'node:fs/promises'
import { hashOf, sha256, sha256OfFile } from '../base/hash.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { modelFiles } from '../onnx/model-files.ts'
import { serializeModel } from '../onnx/save.ts'
import type { Facts } from '../stages/stage.ts'

/** A model that stages start from; it is read when it is needed. */
export interface Stored {
  /** Hash of the model's bytes. */
  readonly hash: string
  readonly facts: Facts
  load(): Promise<Model>
}

/** A model's file as something to start from; what is no model is a {@link UserError}. */
export async function storedFile(path: string): Promise<Stored> {
  // Hashing looks for external data, which only a model that was checked may name.
  await loadModel(path)
  return { hash: await hashOfModelFile(path), facts: {}, load: () => loadModel(path) }
}

/** A model in memory as something to start from. */
export function storedModel(model: Model): Stored {
  return { hash: sha256(serializeModel(model)), facts: {}, load: async () => model }
}

/** The hash of a model's file and of the external data that it refers to. */
export async function hashOfModelFile(path: string): Promise<string> {
  const hashes: string[] = []
  for (const file of await modelFiles(path)) hashes.push(await sha256OfFile(file))
  return hashOf(hashes)
}

/** Bytes of a model's file and of its external data. */
export async function sizeOfModelFile(path: string): Promise<number> {
  let bytes = 0
  for (const file of await modelFiles(path)) bytes += (await stat(file)).size
  return bytes
}
