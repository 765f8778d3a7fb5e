// A node of a GraphDef as JSON has it: names, and attributes read by key and checked.
import { z } from 'zod'
import { UserError } from '../../../base/errors.ts'
import type { Dim } from '../../../onnx/graph.ts'
import { firstIssue, plainName, shown } from '../model-file.ts'
import { axisFromFront, type Term } from '../term.ts'
import type { Writer } from '../writer.ts'

/** 64-bit integers are strings in JSON. */
const integer = z.union([z.int(), z.string().regex(/^-?\d{1,18}$/)]).transform(Number)
/** Bytes: base64, or a list of character codes. */
const text = z
  .union([z.string(), z.array(z.int().min(0).max(255)).max(10_000)])
  .transform((value) =>
    typeof value === 'string'
      ? Buffer.from(value, 'base64').toString()
      : String.fromCharCode(...value),
  )
const shape = z.object({
  dim: z
    .array(z.object({ size: integer.optional() }))
    .max(16)
    .optional(),
  unknownRank: z.boolean().optional(),
})
const dataType = z.union([z.string(), z.number()])

const attribute = z.object({
  s: text.optional(),
  i: integer.optional(),
  f: z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity']).transform(Number)]).optional(),
  b: z.boolean().optional(),
  type: dataType.optional(),
  shape: shape.optional(),
  list: z
    .object({
      s: z.array(text).optional(),
      i: z.array(integer).optional(),
      f: z.array(z.number()).optional(),
    })
    .nullish(),
})

const node = z.object({
  name: plainName,
  op: plainName,
  input: z.array(plainName).nullish(),
  attr: z.record(z.string(), z.unknown()).nullish(),
})

/** A GraphDef as far as it is read. */
export const graphDefinition = z.object({
  node: z.array(node).min(1),
  library: z.object({ function: z.array(z.unknown()).nullish() }).nullish(),
})

/** One node with its attributes. A missing attribute gives the fallback. */
export interface GraphNode {
  readonly name: string
  readonly op: string
  /** Inputs that are data; what only orders nodes (`^name`) is left out. */
  readonly inputs: readonly string[]
  text(key: string, fallback: string): string
  texts(key: string): readonly string[]
  number(key: string, fallback: number): number
  numbers(key: string): readonly number[] | undefined
  flag(key: string, fallback?: boolean): boolean
  /** The TensorFlow.js dtype of a `type` attribute. */
  type(key: string): 'float32' | 'int32' | 'bool' | undefined
  /** A shape with unknown dimensions; undefined where there is none or its rank is unknown. */
  shape(key: string): readonly Dim[] | undefined
}

/** TensorFlow's types as TensorFlow.js keeps them, by name and by number. */
const types = new Map<string | number, 'float32' | 'int32' | 'bool'>([
  ...(['DT_FLOAT', 'DT_HALF', 'DT_DOUBLE', 1, 19, 2] as const).map(
    (type) => [type, 'float32'] as const,
  ),
  ...(['DT_INT32', 'DT_INT64', 'DT_INT8', 'DT_UINT8', 3, 9, 6, 4] as const).map(
    (type) => [type, 'int32'] as const,
  ),
  ['DT_BOOL', 'bool'],
  [10, 'bool'],
])

/** Reads one node of a definition. */
export function graphNode(content: z.output<typeof node>, where: string): GraphNode {
  const { name, op, input, attr } = content
  const get = (key: string) => {
    if (!attr || !Object.hasOwn(attr, key)) return undefined
    const result = attribute.safeParse(attr[key])
    if (result.success) return result.data
    throw new UserError(
      `${where}: node '${name}': attribute ${key}: ${firstIssue(result.error)} — convert the model again`,
    )
  }
  return {
    name,
    op,
    inputs: (input ?? []).filter((each) => !each.startsWith('^')),
    text: (key, fallback) => get(key)?.s ?? fallback,
    texts: (key) => get(key)?.list?.s ?? [],
    number: (key, fallback) => {
      const found = get(key)
      return found?.i ?? found?.f ?? fallback
    },
    numbers: (key) => {
      const list = get(key)?.list
      return list?.i ?? list?.f
    },
    flag: (key, fallback = false) => get(key)?.b ?? fallback,
    type: (key) => {
      const type = get(key)?.type
      return type === undefined ? undefined : types.get(type)
    },
    shape(key) {
      const found = get(key)?.shape
      if (!found || found.unknownRank) return undefined
      return (found.dim ?? []).map(({ size = 0 }) => (size < 0 ? undefined : size))
    },
  }
}

/** One node to be written. */
export interface OperatorCall {
  readonly w: Writer
  readonly node: GraphNode
  readonly inputs: readonly Term[]
  /** The input at an index, which must be there. */
  input(index: number): Term
  /** The first input. */
  readonly x: Term
}

/** Writes one operator and gives its outputs. */
export type OperatorRule = (call: OperatorCall) => Term | readonly Term[]

/** The error for something that an operator may be told but that is not converted. */
export const refused = ({ w, node }: OperatorCall, what: string, advice: string): UserError =>
  new UserError(`${w.where}: ${node.op} '${node.name}': not converted: ${shown(what)} — ${advice}`)

/** The numbers that an input must be known to have. */
export function integers(call: OperatorCall, index: number, what: string): readonly number[] {
  const { content } = call.input(index)
  if (content?.every((each) => typeof each === 'number')) return content as readonly number[]
  throw refused(call, `${what} that depend on data`, 'convert the model with fixed input sizes')
}

/** The axes that an input must be known to have, counted from the front of the first input. */
export const axesOf = (call: OperatorCall, index: number): number[] =>
  integers(call, index, 'axes').map((axis) => axisFromFront(axis, call.x.shape.length))
