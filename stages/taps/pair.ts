// Which end of a teacher's stage belongs to which of the student's.
import type { StageEnd, StageEnds } from './ends.ts'

/** Two values that are compared. */
export interface EndPair {
  readonly teacher: StageEnd
  readonly student: StageEnd
}

/**
 * Pairs the ends of stages, in their order.
 *
 * Resolutions are matched from the end by their share of the input's, layers from the end one by one, blocks evenly:
 * the student's i-th of n with the teacher's round(i·m/n)-th of m (Jiao et al. 2020, section 4.1).
 */
export function pairEnds(teacher: StageEnds, student: StageEnds): EndPair[] {
  const alike = teacher.kind === student.kind
  if (alike && student.kind === 'resolutions') {
    const pairs = byResolution(teacher.ends, student.ends)
    return pairs.length > 0 ? pairs : fromEnd(teacher.ends, student.ends)
  }
  if (alike && student.kind === 'layers') return fromEnd(teacher.ends, student.ends)
  return evenly(teacher.ends, student.ends)
}

/** Resolutions whose sides differ by more than this factor are not the same. */
const tolerance = Math.SQRT2

function byResolution(teacher: readonly StageEnd[], student: readonly StageEnd[]): EndPair[] {
  const pairs: EndPair[] = []
  let left = teacher.length
  for (const own of student.toReversed()) {
    // Of those still before the last one chosen, the nearest; of equally near ones the later.
    let best: { readonly place: number; readonly apart: number } | undefined
    for (let place = left - 1; place >= 0; place--) {
      const apart = Math.abs(Math.log(sideOf(teacher[place]!) / sideOf(own)))
      if (apart <= Math.log(tolerance) + 1e-9 && apart < (best?.apart ?? Number.POSITIVE_INFINITY))
        best = { place, apart }
    }
    if (!best) continue
    left = best.place
    pairs.unshift({ teacher: teacher[left]!, student: own })
  }
  return pairs
}

/** The side of a square of so many positions. */
const sideOf = ({ resolution = 1, shape }: StageEnd): number =>
  resolution ** (1 / Math.max(1, shape.length - 1))

function fromEnd(teacher: readonly StageEnd[], student: readonly StageEnd[]): EndPair[] {
  const count = Math.min(teacher.length, student.length)
  return Array.from({ length: count }, (_, index) => ({
    teacher: teacher[teacher.length - count + index]!,
    student: student[student.length - count + index]!,
  }))
}

function evenly(teacher: readonly StageEnd[], student: readonly StageEnd[]): EndPair[] {
  const [most, count] = [teacher, student].map(({ length }) => length) as [number, number]
  // The one with fewer is gone through, so that nothing is used twice.
  const [few, many] = [Math.min(most, count), Math.max(most, count)]
  return Array.from({ length: few }, (_, index) => {
    const other = Math.round(((index + 1) * many) / few) - 1
    const [theirs, own] = most >= count ? [other, index] : [index, other]
    return { teacher: teacher[theirs]!, student: student[own]! }
  })
}
