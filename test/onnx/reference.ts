// A second opinion on ONNX files: the message classes that onnxruntime-web was built with, which share nothing with
// onnx/proto.ts, and content brought to one form so that files can be compared field by field.
import { createRequire } from 'node:module'

type Fields = Record<string, unknown>
interface Message {
  decode(bytes: Uint8Array): object
  toObject(message: object, options: object): Fields
}

const require = createRequire(import.meta.url)

/** Decodes a model without onnx/proto.ts and brings what may be written in several ways to one of them. */
export function referenceDecode(bytes: Uint8Array): Fields {
  // By path, for the package does not export it.
  const { onnx } =
    require('../../node_modules/onnxruntime-web/lib/onnxjs/ort-schema/protobuf/onnx.js') as {
      onnx: { ModelProto: Message }
    }
  const message = onnx.ModelProto.decode(bytes)
  const options = { longs: String, bytes: String, defaults: false }
  return normalise(onnx.ModelProto.toObject(message, options)) as Fields
}

function normalise(node: unknown): unknown {
  if (Array.isArray(node)) return typeof node[0] === 'object' ? node.map(normalise) : node
  if (typeof node !== 'object' || node === null) return node
  const fields = node as Fields
  if ('dataType' in fields) return { ...fields, ...content(fields) }
  const result: Fields = {}
  for (const [name, field] of Object.entries(fields)) {
    // The order of value_info means nothing, and an empty name or domain is the same as none.
    if (field === '' || (Array.isArray(field) && field.length === 0)) continue
    result[name] = normalise(field)
  }
  if (Array.isArray(result.valueInfo)) result.valueInfo = byName(result.valueInfo)
  // An operator set may be named twice.
  if (Array.isArray(result.opsetImport))
    result.opsetImport = new Map(result.opsetImport.map(({ domain, version }) => [domain, version]))
  return result
}

const byName = (infos: { name: string }[]) => infos.toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** Typed content as raw data, in the types that the shared models have. */
function content(tensor: Fields): Fields {
  const typed = (field: string, make: (list: never[]) => ArrayBufferView) => {
    const list = tensor[field] as never[] | undefined
    if (!list?.length) return undefined
    const { buffer, byteOffset, byteLength } = make(list)
    return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('base64')
  }
  const raw = tensor.rawData as string | undefined
  const rawData =
    (raw || undefined) ??
    typed('floatData', (list) => Float32Array.from(list)) ??
    typed('int64Data', (list) => BigInt64Array.from(list, BigInt)) ??
    typed('int32Data', (list) =>
      tensor.dataType === 6 ? Int32Array.from(list) : Uint8Array.from(list),
    ) ??
    ''
  return { floatData: [], int32Data: [], int64Data: [], rawData }
}
