// ONNX's protobuf messages (onnx.proto, IR version 13). The only file that touches protobufjs. Fields that the
// schema below does not name (device configurations, whatever a newer version adds) are carried along unread.
import protobuf from 'protobufjs/light.js'

/** An int64 as it was decoded. */
export interface Int64 {
  toNumber(): number
}

/** One key with its value. */
export interface StringStringEntryProto {
  key: string
  value: string
}

/**
 * A tensor. The typed fields are declared as bytes: packed floats are raw data already, and packed varints are
 * decoded straight into raw data, without an array of numbers in between.
 */
export interface TensorProto {
  dims: readonly (Int64 | number)[]
  dataType: number
  segment: Uint8Array
  floatData: readonly Uint8Array[]
  int32Data: readonly Uint8Array[]
  stringData: readonly Uint8Array[]
  int64Data: readonly Uint8Array[]
  name: string
  docString: string
  rawData: Uint8Array
  doubleData: readonly Uint8Array[]
  uint64Data: readonly Uint8Array[]
  externalData: readonly StringStringEntryProto[]
  dataLocation: number
  metadataProps: readonly StringStringEntryProto[]
  /** Fields outside the schema, with their tags. */
  $unknowns?: readonly Uint8Array[]
}

/** A sparse tensor in coordinate form. */
export interface SparseTensorProto {
  values: TensorProto | null
  indices: TensorProto | null
  dims: readonly (Int64 | number)[]
}

/** One dimension of a type. */
export interface DimensionProto {
  dimValue: Int64 | number
  dimParam: string
  denotation: string
}

/** The type of a value. */
export interface TypeProto {
  tensorType: TensorTypeProto | null
  denotation: string
}

/** The type of a tensor. */
export interface TensorTypeProto {
  elemType: number
  shape: { dim: readonly Partial<DimensionProto>[] } | null
}

/** A named value with its type. */
export interface ValueInfoProto {
  name: string
  type: Partial<TypeProto> | null
  docString: string
}

/** An attribute of a node. */
export interface AttributeProto {
  name: string
  f: number
  i: Int64 | number
  s: Uint8Array
  t: Partial<TensorProto> | null
  g: Partial<GraphProto> | null
  floats: readonly number[]
  ints: readonly (Int64 | number)[]
  strings: readonly Uint8Array[]
  graphs: readonly Partial<GraphProto>[]
  docString: string
  type: number
  refAttrName: string
  $unknowns?: readonly Uint8Array[]
}

/** A node. */
export interface NodeProto {
  input: readonly string[]
  output: readonly string[]
  name: string
  opType: string
  attribute: readonly Partial<AttributeProto>[]
  docString: string
  domain: string
  overload: string
  metadataProps: readonly StringStringEntryProto[]
}

/** Which values quantize a tensor. */
export interface TensorAnnotation {
  tensorName: string
  quantParameterTensorNames: readonly StringStringEntryProto[]
}

/** A graph. */
export interface GraphProto {
  node: readonly Partial<NodeProto>[]
  name: string
  initializer: readonly Partial<TensorProto>[]
  docString: string
  input: readonly Partial<ValueInfoProto>[]
  output: readonly Partial<ValueInfoProto>[]
  valueInfo: readonly Partial<ValueInfoProto>[]
  quantizationAnnotation: readonly TensorAnnotation[]
  sparseInitializer: readonly Partial<SparseTensorProto>[]
  metadataProps: readonly StringStringEntryProto[]
}

/** The version of a domain's operators. */
export interface OperatorSetIdProto {
  domain: string
  version: Int64 | number
}

/** A model. */
export interface ModelProto {
  irVersion: Int64 | number
  producerName: string
  producerVersion: string
  domain: string
  modelVersion: Int64 | number
  docString: string
  graph: Partial<GraphProto> | null
  opsetImport: readonly Partial<OperatorSetIdProto>[]
  metadataProps: readonly Partial<StringStringEntryProto>[]
  trainingInfo: readonly object[]
  functions: readonly object[]
}

/** Fields as `name type number`; `[]` marks a repeated one. Enumerations are read as the integers they are. */
const schema: Readonly<Record<string, string>> = {
  ModelProto: `irVersion int64 1, producerName string 2, producerVersion string 3, domain string 4,
    modelVersion int64 5, docString string 6, graph GraphProto 7, opsetImport OperatorSetIdProto[] 8,
    metadataProps StringStringEntryProto[] 14, trainingInfo TrainingInfoProto[] 20,
    functions FunctionProto[] 25`,
  OperatorSetIdProto: 'domain string 1, version int64 2',
  StringStringEntryProto: 'key string 1, value string 2',
  GraphProto: `node NodeProto[] 1, name string 2, initializer TensorProto[] 5, docString string 10,
    input ValueInfoProto[] 11, output ValueInfoProto[] 12, valueInfo ValueInfoProto[] 13,
    quantizationAnnotation TensorAnnotation[] 14, sparseInitializer SparseTensorProto[] 15,
    metadataProps StringStringEntryProto[] 16`,
  NodeProto: `input string[] 1, output string[] 2, name string 3, opType string 4,
    attribute AttributeProto[] 5, docString string 6, domain string 7, overload string 8,
    metadataProps StringStringEntryProto[] 9`,
  AttributeProto: `name string 1, f float 2, i int64 3, s bytes 4, t TensorProto 5, g GraphProto 6,
    floats float[] 7, ints int64[] 8, strings bytes[] 9, tensors TensorProto[] 10, graphs GraphProto[] 11,
    docString string 13, tp TypeProto 14, typeProtos TypeProto[] 15, type int32 20, refAttrName string 21,
    sparseTensor SparseTensorProto 22, sparseTensors SparseTensorProto[] 23`,
  ValueInfoProto: `name string 1, type TypeProto 2, docString string 3,
    metadataProps StringStringEntryProto[] 4`,
  TensorProto: `dims int64[] 1, dataType int32 2, segment bytes 3, floatData bytes[] 4, int32Data bytes[] 5,
    stringData bytes[] 6, int64Data bytes[] 7, name string 8, rawData bytes 9, doubleData bytes[] 10,
    uint64Data bytes[] 11, docString string 12, externalData StringStringEntryProto[] 13,
    dataLocation int32 14, metadataProps StringStringEntryProto[] 16`,
  SparseTensorProto: 'values TensorProto 1, indices TensorProto 2, dims int64[] 3',
  TypeProto: `tensorType TensorTypeProto 1, sequenceType ElementTypeProto 4, mapType MapTypeProto 5,
    denotation string 6, sparseTensorType TensorTypeProto 8, optionalType ElementTypeProto 9`,
  TensorTypeProto: 'elemType int32 1, shape TensorShapeProto 2',
  TensorShapeProto: 'dim DimensionProto[] 1',
  DimensionProto: 'dimValue int64 1, dimParam string 2, denotation string 3',
  ElementTypeProto: 'elemType TypeProto 1',
  MapTypeProto: 'keyType int32 1, valueType TypeProto 2',
  TensorAnnotation: 'tensorName string 1, quantParameterTensorNames StringStringEntryProto[] 2',
  TrainingInfoProto: `initialization GraphProto 1, algorithm GraphProto 2,
    initializationBinding StringStringEntryProto[] 3, updateBinding StringStringEntryProto[] 4`,
  FunctionProto: `name string 1, input string[] 4, output string[] 5, attribute string[] 6,
    node NodeProto[] 7, docString string 8, opsetImport OperatorSetIdProto[] 9, domain string 10,
    attributeProto AttributeProto[] 11, valueInfo ValueInfoProto[] 12, overload string 13,
    metadataProps StringStringEntryProto[] 14`,
}

let types: protobuf.Root | undefined

/** Built when first asked for: reflection takes milliseconds that `condense --help` need not spend. */
function typeOf(name: string): protobuf.Type {
  if (!types) {
    types = new protobuf.Root()
    for (const [message, fields] of Object.entries(schema)) {
      const type = new protobuf.Type(message)
      for (const field of fields.split(',')) {
        const [id, kind, key] = field.trim().split(' ').reverse() as [string, string, string]
        const repeated = kind.endsWith('[]')
        const element = repeated ? kind.slice(0, -2) : kind
        type.add(new protobuf.Field(key, Number(id), element, repeated ? 'repeated' : 'optional'))
      }
      types.add(type)
    }
    types.resolveAll()
  }
  return types.lookupType(name)
}

/** Decodes a model; byte fields are views of `bytes`. Throws protobufjs's errors where the bytes are no message. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  const reader = protobuf.Reader.create(bytes)
  reader.discardUnknown = false
  // protobufjs types messages by reflection only; the interfaces above say the same as the schema.
  return typeOf('ModelProto').decode(reader) as unknown as ModelProto
}

/**
 * Encodes a model as pieces to be written one after the other.
 *
 * The raw data of the main graph's initializers are pieces of their own, not copied.
 */
export function encodeModel(model: Partial<ModelProto>): Uint8Array[] {
  const { graph, ...rest } = model
  const { initializer = [], ...others } = graph ?? {}
  const pieces = [encode('GraphProto', others)]
  for (const { rawData, ...tensor } of initializer) {
    const head = encode('TensorProto', tensor)
    const dataHead = rawData ? fieldHead(fieldIds.rawData, rawData.length) : new Uint8Array()
    const dataLength = rawData?.length ?? 0
    const length = head.length + dataHead.length + dataLength
    pieces.push(fieldHead(fieldIds.initializer, length), head, dataHead)
    if (rawData) pieces.push(rawData)
  }
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return [encode('ModelProto', rest), fieldHead(fieldIds.graph, length), ...pieces]
}

/** The numbers of the fields that `encodeModel` writes by itself. */
const fieldIds = { graph: 7, initializer: 5, rawData: 9 }

const encode = (name: string, message: object): Uint8Array => typeOf(name).encode(message).finish()

/** The tag and the length that stand before a field of bytes. */
const fieldHead = (id: number, length: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32((id << 3) | 2)
    .uint32(length)
    .finish()

/** A message with some fields replaced; fields outside the schema come along. */
export function replaceFields<Message extends object>(
  message: Partial<Message> | undefined,
  fields: Partial<Message>,
): Partial<Message> {
  return { ...message, ...fields, ...unknownFields(message) }
}

/** Not enumerable in what protobufjs decodes, so that a spread leaves it behind. */
function unknownFields(message: object | undefined): object {
  const { $unknowns } = (message ?? {}) as { $unknowns?: unknown }
  return $unknowns ? { $unknowns } : {}
}

/** Those fields of a message that are there, of those named; fields outside the schema come along. */
export function keepFields<Message extends object>(
  message: Message,
  names: readonly (keyof Message & string)[],
): Partial<Message> {
  const kept: Partial<Message> = { ...unknownFields(message) }
  for (const name of names) {
    const field = message[name]
    if (Object.hasOwn(message, name) && !(Array.isArray(field) && field.length === 0))
      kept[name] = field
  }
  return kept
}

/** Any int64 field as a number; beyond 2^53 it is the nearest double. */
export const numberOf = (value: Int64 | number): number =>
  typeof value === 'number' ? value : value.toNumber()

/** A number as an int64 field; beyond the range it saturates, as 2^63 has to become INT64_MAX. */
export function int64Of(value: number): Int64 | number {
  // protobufjs types its Long by the constructor alone.
  const long = protobuf.util.Long as unknown as { fromNumber(value: number): Int64 }
  return Number.isSafeInteger(value) ? value : long.fromNumber(value)
}
