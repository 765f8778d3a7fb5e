// Reading models. What comes from outside is checked here once: a loaded model has every value it uses, tensors with
// as many bytes as their shapes need, and nodes in topological order.
import { open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf, UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import type { Origin } from './external.ts'
import type { Model } from './graph.ts'
import { readGraph, standardDomain } from './graph-reader.ts'
import { invalid } from './invalid.ts'
import {
  decodeModel,
  type GraphProto,
  keepFields,
  type ModelProto,
  numberOf,
  type OperatorSetIdProto,
  type StringStringEntryProto,
} from './proto.ts'
import { inlineExternalData } from './tensor-proto.ts'

/** What a model's `extra` holds: the message without the graph. */
export type ModelExtra = Partial<ModelProto>

/**
 * Reads a model from memory; its tensors are views of the bytes, which therefore must not change.
 *
 * `where` stands before messages; `folder` is where external data may lie. What is not a valid model is a
 * {@link UserError}.
 */
export function parseModel(bytes: Uint8Array, where = 'model', folder?: string): Model {
  const origin: Origin = { where, folder, files: new Map() }
  try {
    return readModel(decode(bytes), origin)
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    throw new UserError(`${where}: ${thrown.message}`, { cause: thrown })
  }
}

function decode(bytes: Uint8Array): ModelProto {
  const advice = 'export or download the file again'
  if (bytes.length === 0) throw new UserError(`not an ONNX file: the file is empty — ${advice}`)
  try {
    // Not as a Buffer: slices of that look like copies and are none.
    return decodeModel(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (thrown) {
    throw new UserError(
      `not an ONNX file: it is cut short or damaged: ${messageOf(thrown)} — ${advice}`,
      { cause: thrown },
    )
  }
}

function readModel(message: ModelProto, origin: Origin): Model {
  if (!message.graph)
    throw new UserError(
      'not an ONNX file: there is no graph in it — export or download the file again',
    )
  const irVersion = numberOf(message.irVersion)
  if (irVersion < 1) throw invalid('it says no IR version')
  const opsets = new Map<string, number>()
  for (const { domain, version } of message.opsetImport as OperatorSetIdProto[])
    opsets.set(standardDomain(domain), numberOf(version))
  // Before IR version 3 there was but one operator set.
  if (opsets.size === 0 && irVersion < 3) opsets.set('', 1)
  if (opsets.size === 0) throw invalid('it says no operator set (opset_import)')
  for (const kept of [...message.functions, ...message.trainingInfo])
    inlineExternalData(kept, origin)
  const extra: ModelExtra = keepFields(message, keptFields)
  return {
    // The decoder fills in what `Partial` says may be missing.
    graph: readGraph(message.graph as GraphProto, origin),
    opsets,
    irVersion,
    metadata: new Map(
      (message.metadataProps as StringStringEntryProto[]).map(({ key, value }) => [key, value]),
    ),
    extra,
  }
}

const keptFields = [
  'producerName',
  'producerVersion',
  'domain',
  'modelVersion',
  'docString',
  'metadataProps',
  'trainingInfo',
  'functions',
] as const

/** The largest file that protobuf allows, in bytes. */
export const largestFile = 2 ** 31 - 1

/**
 * Reads a model from a file; its tensors are views of the file's bytes, or are read from external data when they
 * are asked for. A missing or invalid file is a {@link UserError} that begins with the path.
 */
export async function loadModel(path: string): Promise<Model> {
  return parseModel(await readWhole(path), path, dirname(path))
}

/** One buffer of the file's size, filled in place: `readFile` would hold the content twice for a while. */
async function readWhole(path: string): Promise<Uint8Array> {
  try {
    // Before opening: to open a pipe is to wait for its writer.
    const { size } = await checkFile(path)
    const file = await open(path)
    try {
      const bytes = new Uint8Array(size)
      let done = 0
      for (let count = 1; count > 0 && done < size; done += count)
        count = (await file.read(bytes, done, size - done, done)).bytesRead
      return bytes.subarray(0, done)
    } finally {
      await file.close()
    }
  } catch (thrown) {
    throw explainFileError(path, thrown)
  }
}

async function checkFile(path: string): Promise<{ size: number }> {
  const stats = await stat(path)
  if (!stats.isFile()) throw new UserError(`${path}: not a file — give the path of an .onnx file`)
  if (stats.size > largestFile)
    throw new UserError(
      `${path}: not an ONNX file: ${stats.size} bytes, where 2 GB is the most — export the model with external data`,
    )
  return stats
}
