// Writing models, in one atomic step. Large ones put their tensors into a second file, as ONNX wants it.
import { basename } from 'node:path'
import { writeAtomically } from '../base/files.ts'
import type { Graph, Model } from './graph.ts'
import { writeGraph } from './graph-writer.ts'
import { largestFile, type ModelExtra } from './load.ts'
import { packedOf, storedBytes } from './packed.ts'
import {
  encodeModel,
  int64Of,
  type ModelProto,
  replaceFields,
  type StringStringEntryProto,
} from './proto.ts'
import type { Tensor } from './tensor.ts'
import type { Placement } from './tensor-proto.ts'

/**
 * A model as the bytes of an ONNX file; more than 2 GB is an internal error, for `saveModel` knows what to do.
 *
 * With `dense`, packed tensors are written dense: for who opens the bytes at once, and without folding constants.
 */
export function serializeModel(
  model: Model,
  { dense = false }: { dense?: boolean } = {},
): Uint8Array {
  const pieces = encodeModel(writeModel(model, () => undefined, !dense))
  const length = lengthOf(pieces)
  if (length > largestFile) throw new Error(`internal: a model of ${length} bytes in one piece`)
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const piece of pieces) {
    bytes.set(piece, offset)
    offset += piece.length
  }
  return bytes
}

/**
 * Writes a model to a file, atomically.
 *
 * With `externalData`, or when one file could not hold it, tensors of at least 1 KiB go to `<name>.onnx.data` beside
 * it, which is written first. What keeps the file from being written is a {@link UserError}.
 */
export async function saveModel(
  model: Model,
  path: string,
  { externalData = false }: { externalData?: boolean } = {},
): Promise<void> {
  if (externalData || tensorBytes(model) > largestInside) {
    const layout = placeTensors(model, `${basename(path)}.data`)
    writeAtomically(`${path}.data`, layout.pieces())
    writeAtomically(path, encodeModel(writeModel(model, layout.place)))
  } else writeAtomically(path, encodeModel(writeModel(model, () => undefined)))
}

/** Bytes of tensors that are put into the model's own file; the rest of 2 GB is for the nodes. */
const largestInside = largestFile - 2 ** 26

/** Tensors of fewer bytes stay in the model's file: readers want shapes and scalars at hand. */
const smallestOutside = 1024

/** Tensors begin at multiples of a page, so that a runtime may map the file into memory. */
const page = 4096

function placeTensors(model: Model, location: string) {
  const offsets = new Map<Tensor, number>()
  let end = 0
  for (const tensor of tensorsOf(model.graph)) {
    if (offsets.has(tensor) || tensor.strings || storedBytes(tensor) < smallestOutside) continue
    if (packedOf(tensor)) continue
    offsets.set(tensor, end)
    end += Math.ceil(tensor.byteLength / page) * page
  }
  const place: Placement = (tensor) => {
    const offset = offsets.get(tensor)
    if (offset === undefined) return undefined
    return [
      { key: 'location', value: location },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(tensor.byteLength) },
    ]
  }
  function* pieces(): Generator<Uint8Array> {
    for (const tensor of offsets.keys()) {
      yield tensor.freshBytes()
      yield new Uint8Array(-tensor.byteLength & (page - 1))
    }
  }
  return { place, pieces }
}

/** Every dense tensor that a graph holds, initializers first. */
function* tensorsOf(graph: Graph): Generator<Tensor> {
  for (const { tensor } of graph.initializers) if (tensor) yield tensor
  for (const node of graph.nodes) {
    for (const attribute of node.attributes.values())
      if (attribute.type === 'tensor') yield attribute.value
    for (const subgraph of node.subgraphs) yield* tensorsOf(subgraph)
  }
}

function tensorBytes(model: Model): number {
  let sum = 0
  for (const tensor of tensorsOf(model.graph)) sum += storedBytes(tensor)
  return sum
}

const lengthOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => sum + piece.length, 0)

function writeModel(model: Model, place: Placement, packed = true): Partial<ModelProto> {
  // `extra` of a model is set by the reader alone.
  const extra = model.extra as ModelExtra | undefined
  const entries = new Map(extra?.metadataProps?.map((entry) => [entry.key, entry]))
  const entryOf = ([key, value]: [string, string]): Partial<StringStringEntryProto> =>
    replaceFields<StringStringEntryProto>(entries.get(key), { key, value })
  return replaceFields<ModelProto>(extra, {
    irVersion: model.irVersion,
    opsetImport: [...model.opsets].map(([domain, version]) => ({
      domain,
      version: int64Of(version),
    })),
    metadataProps: [...model.metadata].map(entryOf),
    graph: writeGraph(model.graph, place, packed),
  })
}
