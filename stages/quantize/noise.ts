// How much of what a model says is noise after it was rewritten: per output, over all runs.
import { Float16Array } from '@petamoriken/float16'
import { elements, type Tensor } from '../../onnx/tensor.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { sureOf } from './confidence.ts'

/** How alike two series of one output are. */
export interface Likeness {
  /** Signal over noise, 10·log10(Σ expected² / Σ (expected - found)²), dB; Infinity where they are equal. */
  readonly sqnrDb: number
  /** Cosine similarity, -1..1. */
  readonly cosine: number
  /** What the cosine similarity is with 95 % confidence, or more, on samples like these; itself where there is one run. */
  readonly sureCosine: number
}

interface Sums {
  readonly signal: number
  readonly noise: number
  readonly product: number
  readonly found: number
}

/**
 * Compares the float outputs of runs of two models, output by output; what was not finite before does not count.
 *
 * What is not finite where it was, or has another size, is noise without end: -Infinity dB, cosine 0.
 */
export function likenessOf(
  expected: readonly Tensors[],
  found: readonly Tensors[],
): ReadonlyMap<string, Likeness> {
  const sums = new Map<string, Sums[]>()
  for (const [run, outputs] of expected.entries())
    for (const [name, tensor] of Object.entries(outputs)) {
      const before = floatsOf(tensor)
      if (!before) continue
      const own = sums.get(name) ?? []
      sums.set(name, own)
      own.push(sumsOf(before, floatsOf(found[run]?.[name])))
    }
  return new Map([...sums].map(([name, runs]) => [name, likenessFrom(runs)]))
}

/** The output that is least like what it was; undefined where there is none in floating point. */
export function worstOf(
  likeness: ReadonlyMap<string, Likeness>,
): (Likeness & { readonly name: string }) | undefined {
  return [...likeness]
    .map(([name, each]) => ({ name, ...each }))
    .reduce<(Likeness & { readonly name: string }) | undefined>(
      (worst, each) => (worst && worst.sqnrDb <= each.sqnrDb ? worst : each),
      undefined,
    )
}

/** Decibels as people read them. */
export const decibels = (sqnrDb: number): string =>
  sqnrDb === Number.POSITIVE_INFINITY
    ? 'no noise'
    : Number.isFinite(sqnrDb)
      ? `${sqnrDb.toFixed(1)} dB`
      : 'nothing but noise'

function floatsOf(tensor: Tensor | undefined): ArrayLike<number> | undefined {
  if (tensor?.dtype === 'float32') return elements(tensor, 'float32')
  if (tensor?.dtype !== 'float16') return undefined
  const { buffer, byteOffset, length } = elements(tensor, 'float16')
  return new Float16Array(buffer as ArrayBuffer, byteOffset, length)
}

function sumsOf(before: ArrayLike<number>, after: ArrayLike<number> | undefined): Sums {
  const sum = { signal: 0, noise: 0, product: 0, found: 0 }
  if (after?.length !== before.length) return { ...sum, noise: Number.POSITIVE_INFINITY }
  for (let index = 0; index < before.length; index++) {
    const [a, b] = [before[index]!, after[index]!]
    if (!Number.isFinite(a)) continue
    sum.signal += a * a
    sum.noise += Number.isFinite(b) ? (a - b) ** 2 : Number.POSITIVE_INFINITY
    if (!Number.isFinite(b)) continue
    sum.product += a * b
    sum.found += b * b
  }
  return sum
}

function likenessFrom(runs: readonly Sums[]): Likeness {
  const { signal, noise, found } = totalOf(runs)
  const sqnrDb = found === 0 ? Number.NEGATIVE_INFINITY : 10 * Math.log10(signal / noise)
  const cosine = cosineOf(runs)
  const sureCosine = sureOf(
    cosine,
    runs.map((left) => cosineOf(runs.filter((run) => run !== left))),
  )
  return { sqnrDb: noise === 0 ? Number.POSITIVE_INFINITY : sqnrDb, cosine, sureCosine }
}

function cosineOf(runs: readonly Sums[]): number {
  const { signal, noise, product, found } = totalOf(runs)
  if (noise === 0) return 1
  if (noise === Number.POSITIVE_INFINITY || signal === 0 || found === 0) return 0
  return Math.min(1, product / Math.sqrt(signal * found))
}

function totalOf(runs: readonly Sums[]): Sums {
  const total = { signal: 0, noise: 0, product: 0, found: 0 }
  for (const run of runs) for (const key of keys) total[key] += run[key]
  return total
}

const keys = ['signal', 'noise', 'product', 'found'] as const
