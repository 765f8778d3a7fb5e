// How much of what a layer gives is noise: its values in a compressed model against those of the teacher.
import { fromHalves } from '../../base/float16.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Graph, Model } from '../../onnx/graph.ts'
import { elements, type Tensor } from '../../onnx/tensor.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { openSession, type Session } from '../../runtime/session.ts'

/** Signal over noise in dB; `exact` where nothing differs. */
export type Noise = number | 'exact'

/** The noise of a value, and which value of the teacher it was compared with. */
export interface Compared {
  readonly sqnrDb: Noise
  readonly against: string
}

interface Sums {
  signal: number
  noise: number
}

/** Elements of a value that are looked at while its counterpart is searched. */
const glance = 2 ** 12

/**
 * Runs both models operator by operator, as ONNX defines them, and compares the values of these names with the
 * teacher's: with the one of the same name and shape or, as stages rename values, with the one of the same shape that
 * is most like it.
 *
 * What is like none (0 dB or less) is left out; so is everything where the inputs are not the same. A model that
 * cannot be run so is a `UserError`.
 */
export async function noiseOf(
  model: Model,
  teacher: Model,
  names: readonly string[],
  runs: readonly Tensors[],
  settings: { readonly threads: number; readonly where: string },
): Promise<ReadonlyMap<string, Compared>> {
  if (interfaceOf(model.graph) !== interfaceOf(teacher.graph)) return new Map()
  const open = (whole: Model) => openSession(whole, { ...settings, optimization: 'disabled' })
  const own = await open(withOutputs(model, new Set(names)))
  try {
    const theirs = await open(withOutputs(teacher))
    try {
      return await compare(own, theirs, new Set(names), runs)
    } finally {
      await theirs.dispose()
    }
  } finally {
    await own.dispose()
  }
}

async function compare(
  own: Session,
  theirs: Session,
  names: ReadonlySet<string>,
  runs: readonly Tensors[],
): Promise<ReadonlyMap<string, Compared>> {
  const asked = own.outputs.flatMap(({ name, dtype }) =>
    names.has(name) && floats.has(dtype) ? [name] : [],
  )
  const known = theirs.outputs.flatMap(({ name, dtype }) => (floats.has(dtype) ? [name] : []))
  const counterparts = new Map<string, string>()
  const sums = new Map<string, Sums>()
  for (const [index, feeds] of runs.entries()) {
    const found = await own.run(feeds, asked)
    const expected = await theirs.run(feeds, [
      ...(index === 0 ? known : new Set(counterparts.values())),
    ])
    if (index === 0)
      for (const name of asked) {
        const counterpart = counterpartOf(name, found[name]!, expected)
        if (counterpart !== undefined) counterparts.set(name, counterpart)
      }
    for (const [name, counterpart] of counterparts) {
      const sum = sums.get(name) ?? { signal: 0, noise: 0 }
      sums.set(name, sum)
      add(sum, numbersOf(expected[counterpart]!), numbersOf(found[name]!), 1)
    }
  }
  return new Map(
    [...sums].flatMap(([name, sum]) => {
      const sqnrDb = decibelsOf(sum)
      if (sqnrDb <= 0) return []
      const noise = sqnrDb === Number.POSITIVE_INFINITY ? 'exact' : sqnrDb
      return [[name, { sqnrDb: noise, against: counterparts.get(name)! }] as const]
    }),
  )
}

/** The name of the teacher's value that a value stands for; undefined where none has its shape. */
function counterpartOf(name: string, found: Tensor, expected: Tensors): string | undefined {
  const dims = String(found.dims)
  const candidates = Object.keys(expected).filter((other) => String(expected[other]!.dims) === dims)
  if (candidates.includes(name)) return name
  const own = numbersOf(found)
  const step = Math.max(1, Math.floor(own.length / glance))
  let best: string | undefined
  let most = Number.NEGATIVE_INFINITY
  for (const candidate of candidates) {
    const sum = { signal: 0, noise: 0 }
    add(sum, numbersOf(expected[candidate]!), own, step)
    const sqnrDb = decibelsOf(sum)
    if (sqnrDb <= most) continue
    best = candidate
    most = sqnrDb
  }
  return best
}

/** 10·log10(Σ expected² / Σ (expected - found)²). */
const decibelsOf = ({ signal, noise }: Sums): number =>
  noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise)

/** Adds up every so many elements; what was not finite before does not count. */
function add(sum: Sums, expected: Float32Array, found: Float32Array, step: number): void {
  for (let index = 0; index < expected.length; index += step) {
    const [a, b] = [expected[index]!, found[index]!]
    if (!Number.isFinite(a)) continue
    sum.signal += a * a
    sum.noise += Number.isFinite(b) ? (a - b) ** 2 : Number.POSITIVE_INFINITY
  }
}

const floats: ReadonlySet<string> = new Set(['float32', 'float16'])

function numbersOf(tensor: Tensor): Float32Array {
  if (tensor.dtype === 'float32') return elements(tensor, 'float32')
  const numbers = new Float32Array(tensor.size)
  fromHalves(elements(tensor, 'float16'), numbers)
  return numbers
}

const interfaceOf = ({ feeds }: Graph): string =>
  JSON.stringify(feeds.map(({ name, type }) => [name, type?.dtype]).sort())

/** A copy that gives all values of nodes as outputs, or those of these names. */
function withOutputs(model: Model, names?: ReadonlySet<string>): Model {
  const copy = cloneModel(model)
  const { graph } = copy
  const listed = new Set(graph.outputs)
  for (const { outputs } of graph.nodes)
    for (const output of outputs)
      if (output && !listed.has(output) && (names?.has(output.name) ?? true))
        graph.outputs.push(output)
  return copy
}
