// AttributeProto to and from attributes. An attribute that nobody replaced is written as it was read, so that
// integers beyond 2^53 and strings that are no text survive.
import type { Attribute, Graph } from './graph.ts'
import { invalid, quote } from './invalid.ts'
import {
  type AttributeProto,
  type GraphProto,
  int64Of,
  numberOf,
  replaceFields,
  type TensorProto,
} from './proto.ts'
import type { Tensor } from './tensor.ts'

/** What an attribute's `extra` holds: the message, and the value it was read as. */
interface AttributeExtra {
  readonly message: AttributeProto
  readonly value: Attribute['value']
}

/** Reading and writing of what attributes contain. */
export interface Contents {
  readTensor(message: TensorProto): Tensor
  readGraph(message: GraphProto): Graph
  /** Is called with messages that are kept as they are. */
  keep(message: object): void
}

/** AttributeProto.AttributeType. */
const codes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  graphs: 10,
} as const
type Kind = keyof typeof codes

/** Reads an attribute. */
export function readAttribute(message: AttributeProto, contents: Contents): Attribute {
  const kind = message.refAttrName ? undefined : kindOf(message)
  if (!kind) {
    contents.keep(message)
    return { type: 'other', value: undefined, extra: { message, value: undefined } }
  }
  const attribute = readKind(kind, message, contents)
  const extra: AttributeExtra = { message, value: attribute.value }
  return { ...attribute, extra }
}

function kindOf(message: AttributeProto): Kind | undefined {
  const kinds = Object.keys(codes) as Kind[]
  // Files of 2017 do not say the type: the field that is there does.
  const isThere = (kind: Kind) => {
    const field = message[fields[kind]]
    return Object.hasOwn(message, fields[kind]) && !(Array.isArray(field) && field.length === 0)
  }
  if (message.type === 0) return kinds.find(isThere)
  return kinds.find((kind) => codes[kind] === message.type)
}

const fields: Record<Kind, keyof AttributeProto> = {
  float: 'f',
  int: 'i',
  string: 's',
  tensor: 't',
  graph: 'g',
  floats: 'floats',
  ints: 'ints',
  strings: 'strings',
  graphs: 'graphs',
}

function readKind(type: Kind, message: AttributeProto, contents: Contents): Attribute {
  const need = <Content>(content: Content | null): Content => {
    if (content === null) throw invalid(`attribute ${quote(message.name)} is an empty ${type}`)
    return content
  }
  switch (type) {
    case 'float':
      return { type, value: message.f }
    case 'int':
      return { type, value: numberOf(message.i) }
    case 'string':
      // Where nothing is there, protobufjs's default is no Uint8Array.
      return { type, value: Object.hasOwn(message, 's') ? textOf(message.s) : '' }
    case 'floats':
      return { type, value: message.floats }
    case 'ints':
      return { type, value: message.ints.map(numberOf) }
    case 'strings':
      return { type, value: message.strings.map(textOf) }
    case 'tensor':
      return { type, value: contents.readTensor(need(message.t) as TensorProto) }
    case 'graph':
      return { type, value: contents.readGraph(need(message.g) as GraphProto) }
    case 'graphs':
      return { type, value: message.graphs.map((graph) => contents.readGraph(graph as GraphProto)) }
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const encoder = new TextEncoder()
const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)

/** Writes an attribute under a name. */
export function writeAttribute(
  name: string,
  attribute: Attribute,
  writeTensor: (tensor: Tensor) => Partial<TensorProto>,
  writeGraph: (graph: Graph) => Partial<GraphProto>,
): Partial<AttributeProto> {
  // `extra` of an attribute is set by this file alone.
  const extra = attribute.extra as AttributeExtra | undefined
  const unchanged = extra !== undefined && Object.is(extra.value, attribute.value)
  const write = (content: Partial<AttributeProto>): Partial<AttributeProto> => {
    if (unchanged || attribute.type === 'other')
      return replaceFields<AttributeProto>(extra?.message, { name, ...content })
    const type = codes[attribute.type]
    const before = extra?.message.type === type ? extra.message : undefined
    return replaceFields<AttributeProto>(before, { name, type, ...content })
  }
  switch (attribute.type) {
    case 'tensor':
      return write({ t: writeTensor(attribute.value) })
    case 'graph':
      return write({ g: writeGraph(attribute.value) })
    case 'graphs':
      return write({ graphs: attribute.value.map(writeGraph) })
    default:
      return write(unchanged ? {} : writePlain(attribute))
  }
}

function writePlain(attribute: Attribute): Partial<AttributeProto> {
  switch (attribute.type) {
    case 'float':
      return { f: attribute.value }
    case 'int':
      return { i: int64Of(attribute.value) }
    case 'string':
      return { s: encoder.encode(attribute.value) }
    case 'floats':
      return { floats: attribute.value }
    case 'ints':
      return { ints: attribute.value.map(int64Of) }
    case 'strings':
      return { strings: attribute.value.map((text) => encoder.encode(text)) }
    default:
      return {}
  }
}
