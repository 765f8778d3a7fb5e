// Which channels can be multiplied with a factor of their own that is taken back where they are used, so that the model
// computes what it did: (1/s) out of the weights that make a channel, s into those that take it. What hangs together is
// what channels/ knows, except that a depthwise convolution and a norm take one factor and give another.
import { closure } from '../../../channels/closure.ts'
import { prepareChannels } from '../../../channels/prepare.ts'
import type { Link, Place } from '../../../channels/web.ts'
import { constantOf, type Graph, type Model, type Node, type Value } from '../../../onnx/graph.ts'
import { liftConstants } from '../../../onnx/passes/constants.ts'
import { elements, sizeOf, tensorOf } from '../../../onnx/tensor.ts'
import { isHomogeneous, sums, tellSizes } from './homogeneous.ts'

/** One axis of a constant, and which factor each index along it has. */
export interface ScaledAxis {
  readonly axis: number
  /** The number of the factor of each index; -1 where it has none. */
  readonly factors: Int32Array
  /** Whether the constant makes the channels, takes them, or is added to them. */
  readonly role: 'makes' | 'takes' | 'adds'
}

/** Channels with a factor of their own. */
export interface Scalable {
  /** How many factors there are. */
  readonly count: number
  /** Constants of the model that change with the factors. */
  readonly constants: ReadonlyMap<Value, readonly ScaledAxis[]>
  /** The numbers of the factors along an axis of a value that flows, by its name; undefined where an index has none. */
  factorsOf(name: string, axis: number): Int32Array | undefined
}

/**
 * Finds the channels of a model that can have factors: between layers with constant weights, through operators that are
 * positively homogeneous. Vectors that several nodes share become each node's own.
 */
export async function scalableChannels(model: Model, where: string): Promise<Scalable> {
  liftConstants(model)
  ownVectors(model.graph)
  const copy = await prepareChannels(model, where)
  const { places, links } = closure(copy)
  const nodes = new Set(copy.graph.nodes)
  const classes = classesOf(places, links)
  const found = partsOf(places, links, nodes, originalsOf(copy, model))
  for (const place of found.blocked) classes.block(place)

  const [made, taken] = [new Set<number>(), new Set<number>()]
  for (const { place, source, role, map } of found.parts)
    for (let index = 0; index < place.size; index++) {
      const root = classes.root(source, map(index))
      if (role === 'makes') made.add(root)
      if (role === 'takes') taken.add(root)
    }
  const numbers = new Map<number, number>()
  for (const root of made)
    if (taken.has(root) && !classes.isBlocked(root)) numbers.set(root, numbers.size)
  const numberOf = (place: Place, index: number) => numbers.get(classes.root(place, index)) ?? -1

  const constants = new Map<Value, ScaledAxis[]>()
  for (const { value, place, source, role, map } of found.parts) {
    const factors = Int32Array.from({ length: place.size }, (_, index) =>
      numberOf(source, map(index)),
    )
    if (factors.every((factor) => factor < 0)) continue
    constants.set(value, [...(constants.get(value) ?? []), { axis: place.axis, factors, role }])
  }
  const flowing = new Map(
    [...places.keys()].flatMap((place) =>
      place.value.tensor ? [] : [[`${place.axis} ${place.value.name}`, place] as const],
    ),
  )
  return {
    count: numbers.size,
    constants,
    factorsOf(name, axis) {
      const place = flowing.get(`${axis} ${name}`)
      if (!place) return undefined
      const factors = Int32Array.from({ length: place.size }, (_, index) => numberOf(place, index))
      return factors.includes(-1) ? undefined : factors
    },
  }
}

/** Divides what makes channels (and what is added to them) by the factors, and multiplies what takes them. */
export function applyFactors({ constants }: Scalable, factors: Float64Array): void {
  for (const [value, axes] of constants) {
    const { tensor } = value
    if (!tensor) throw new Error(`internal: '${value.name}' is no constant`)
    const result = Float64Array.from(elements(tensor, 'float32'))
    for (const { axis, factors: numbers, role } of axes) {
      const stride = sizeOf(tensor.dims.slice(axis + 1))
      for (let at = 0; at < result.length; at++) {
        const number = numbers[Math.floor(at / stride) % numbers.length]!
        if (number < 0) continue
        result[at] =
          role === 'takes' ? result[at]! * factors[number]! : result[at]! / factors[number]!
      }
    }
    value.tensor = tensorOf('float32', tensor.dims, Float32Array.from(result))
  }
}

/** A constant that several nodes read, but not as the weight of a layer, is given to each of them. */
function ownVectors(graph: Graph): void {
  for (const value of [...graph.initializers]) {
    const { tensor, users } = value
    if (tensor?.dtype !== 'float32' || tensor.size < 2 || users.size < 2) continue
    if (graph.inputs.includes(value) || graph.outputs.includes(value)) continue
    const alive = new Set(graph.nodes)
    if ([...users].some((user) => !alive.has(user) || isWeight(user, value))) continue
    for (const user of [...users].slice(1)) {
      const own = graph.addInitializer(value.name, tensor)
      for (const [index, input] of user.inputs.entries())
        if (input === value) user.setInput(index, own)
    }
  }
}

const layers: ReadonlySet<string> = new Set(['Conv', 'Gemm', 'MatMul'])

const isLayer = ({ domain, opType }: Node): boolean => domain === '' && layers.has(opType)

/** Whether a constant is what a layer multiplies with. */
const isWeight = (node: Node, value: Value): boolean =>
  isLayer(node) && node.inputs[1] === value && !node.inputs.slice(2).includes(value)

/** A convolution each of whose filters sees one channel. */
const isDepthwise = (node: Node): boolean =>
  node.opType === 'Conv' && node.number('group', 1) > 1 && constantOf(node.inputs[1])?.dims[1] === 1

const isNorm = ({ domain, opType }: Node): boolean =>
  domain === '' && opType === 'LayerNormalization'

/** Links between what such a node takes and what it gives do not hold a factor together. */
function isSplit({ from, to }: Link): boolean {
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    const node = one.value.producer
    if (node && node.inputs[0] === other.value && (isDepthwise(node) || isNorm(node))) return true
  }
  return false
}

/** The constants of the model that those of its copy are; only those that are still the same. */
function originalsOf(copy: Model, model: Model): (value: Value) => Value | undefined {
  const named = new Map([...model.graph.initializers].map((value) => [value.name, value]))
  const given = new Set([...model.graph.inputs, ...model.graph.outputs])
  return (value) => {
    const original = named.get(value.name)
    const isSame =
      original !== undefined &&
      copy.graph.initializers.has(value) &&
      original.tensor === value.tensor &&
      original.users.size === value.users.size &&
      !given.has(original)
    return isSame ? original : undefined
  }
}

/** Indices of axes that have one factor. */
interface Classes {
  root(place: Place, index: number): number
  block(place: Place): void
  isBlocked(root: number): boolean
}

function classesOf(
  places: ReadonlyMap<Place, string | undefined>,
  links: readonly Link[],
): Classes {
  const starts = new Map<Place, number>()
  let count = 0
  for (const place of places.keys()) {
    starts.set(place, count)
    count += place.size
  }
  const parents = Int32Array.from({ length: count }, (_, at) => at)
  const rootOf = (at: number): number => {
    let root = at
    while (parents[root] !== root) {
      parents[root] = parents[parents[root]!]!
      root = parents[root]!
    }
    return root
  }
  for (const link of links) {
    if (isSplit(link)) continue
    const [from, to] = [starts.get(link.from)!, starts.get(link.to)!]
    for (let index = 0; index < link.from.size; index++) {
      const [a, b] = [rootOf(from + index), rootOf(to + link.map(index))]
      parents[Math.max(a, b)] = Math.min(a, b)
    }
  }
  const blocked = new Set<number>()
  return {
    root: (place, index) => rootOf(starts.get(place)! + index),
    block(place) {
      for (let index = 0; index < place.size; index++)
        blocked.add(rootOf(starts.get(place)! + index))
    },
    isBlocked: (root) => blocked.has(root),
  }
}

/** An axis of a constant whose factors are those of an axis: its own, or that of the input of a depthwise layer. */
interface FoundPart {
  readonly value: Value
  readonly place: Place
  readonly source: Place
  readonly role: ScaledAxis['role']
  readonly map: (index: number) => number
}

/** The constants that take factors up, and the axes that cannot have any. */
function partsOf(
  places: ReadonlyMap<Place, string | undefined>,
  links: readonly Link[],
  nodes: ReadonlySet<Node>,
  originalOf: (value: Value) => Value | undefined,
): { readonly parts: readonly FoundPart[]; readonly blocked: readonly Place[] } {
  const linked = new Map<Place, Set<Value>>()
  const note = (one: Place, other: Place) => {
    const values = linked.get(one) ?? new Set<Value>()
    linked.set(one, values.add(other.value))
  }
  for (const { from, to } of links) {
    note(from, to)
    note(to, from)
  }
  const parts: FoundPart[] = []
  const blocked: Place[] = []
  const same = (index: number) => index
  const placeAt = new Map([...places.keys()].map((place) => [place.value, place] as const))
  for (const [place, reason] of places) {
    const { value } = place
    const meets = (other: Value | undefined) =>
      other !== undefined && (linked.get(place)?.has(other) ?? false)
    if (reason !== undefined) blocked.push(place)
    else if (value.tensor) {
      const role = roleOf(place)
      if (role === 'none') continue
      const original = role && originalOf(value)
      if (original) parts.push({ value: original, place, source: place, role, map: same })
      else blocked.push(place)
    } else {
      const around = [...(value.producer ? [value.producer] : []), ...value.users]
      if (!around.every((node) => nodes.has(node) && passes(node, value, meets)))
        blocked.push(place)
      // A depthwise layer takes each channel by the filters that it has of its own.
      for (const node of value.users) {
        if (!isDepthwise(node) || node.inputs[0] !== value) continue
        const weight = node.input(1)
        const [original, own] = [originalOf(weight), placeAt.get(weight)]
        if (!original || !own || own.axis !== 0 || weight.users.size > 1) blocked.push(place)
        else {
          const each = own.size / place.size
          const map = (index: number) => Math.floor(index / each)
          parts.push({ value: original, place: own, source: place, role: 'takes', map })
        }
      }
    }
  }
  return { parts, blocked }
}

/** What a constant does with factors; 'none' where it does not mind them, undefined where they cannot pass. */
function roleOf({ value, node, role, axis }: Place): ScaledAxis['role'] | 'none' | undefined {
  if (!node || value.tensor?.dtype !== 'float32') return undefined
  if (role === 'out' || role === 'in') {
    const users = [...value.users]
    if (!users.every((user) => isWeight(user, value))) return undefined
    if (isDepthwise(node) && (users.length > 1 || axis !== 0)) return undefined
    return role === 'out' ? 'makes' : 'takes'
  }
  if (role === 'bias')
    return isLayer(node) || isNorm(node) || sums.has(node.opType) ? 'adds' : undefined
  if (role === 'scale') return isNorm(node) ? 'makes' : 'none'
  return node.opType === 'PRelu' ? 'none' : undefined
}

/** Whether a factor of a value, along an axis that meets other values, passes one of the nodes around it. */
function passes(node: Node, value: Value, meets: (other: Value | undefined) => boolean): boolean {
  if (tellSizes.has(node.opType)) return true
  const isMade = node.outputs.includes(value)
  const terms = sums.has(node.opType) ? node.inputs : node.inputs.slice(2)
  if (isLayer(node)) {
    const weight = constantOf(node.inputs[1])
    if (weight?.dtype !== 'float32' || weight.dims.length < 2) return false
    if (node.inputs.slice(1).includes(value)) return false
    const meetsWeight =
      meets(node.inputs[1]) || (!isMade && isDepthwise(node) && meets(node.output()))
    if (!meetsWeight) return false
    return !isMade || terms.every((term) => term === undefined || meets(term))
  }
  if (isNorm(node)) {
    // Only the last axis may be normalised: then every element of scale and bias is that of one channel.
    const isVector = constantOf(node.inputs[1])?.dims.length === 1
    return (
      isMade &&
      isVector &&
      meets(node.inputs[1]) &&
      node.inputs.slice(2).every((term) => meets(term))
    )
  }
  if (!isHomogeneous(node, value)) return false
  if (isMade && sums.has(node.opType)) return terms.every(meets)
  const others = isMade ? node.inputs : node.outputs
  return others.some((other) => other !== undefined && other !== value && meets(other))
}
