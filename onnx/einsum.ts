// Reading an Einsum equation: every operand's axes as letters, with the ellipsis written out.
import { UserError } from '../base/errors.ts'

/** One operand of an equation. */
export interface Factor {
  readonly shape: readonly number[]
  /** The letter of each axis; undefined for an axis of size 1 along which the operand is broadcast. */
  readonly axes: readonly (string | undefined)[]
  /** The letters of the axes that have one, in their order. */
  readonly letters: readonly string[]
}

/** An equation, settled for its operands. */
export interface Equation {
  readonly factors: readonly Factor[]
  /** The letters of the result. */
  readonly output: readonly string[]
  readonly sizes: ReadonlyMap<string, number>
}

const alphabet = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ']

/**
 * Reads an equation for operands of given shapes; without an arrow the result has the ellipsis, then every letter that
 * stands once, in alphabetical order.
 *
 * An equation that needs more than 52 letters is a {@link UserError}.
 */
export function parse(text: string, shapes: readonly (readonly number[])[]): Equation {
  const [left = '', right] = text.replaceAll(' ', '').split('->')
  const terms = left.split(',')
  const used = new Set(text)
  const free = alphabet.filter((letter) => !used.has(letter))
  const covered = terms.map((term, index) =>
    term.includes('...') ? shapes[index]!.length - (term.length - 3) : 0,
  )
  const rank = Math.max(0, ...covered)
  if (rank > free.length)
    throw new UserError(
      `Einsum: more axes than there are letters: '${text}' with an ellipsis of ${rank} axes — split it up`,
    )
  const ellipsis = free.slice(0, rank)
  const lettersOf = (term: string, length = rank) => {
    const [before = '', after = ''] = term.split('...')
    const middle = term.includes('...') ? ellipsis.slice(rank - length) : []
    return [...before, ...middle, ...after]
  }
  const named = terms.map((term, index) => lettersOf(term, covered[index]))
  const sizes = new Map<string, number>()
  for (const [index, letters] of named.entries())
    for (const [axis, letter] of letters.entries())
      sizes.set(letter, Math.max(sizes.get(letter) ?? 1, shapes[index]![axis]!))

  const factors = named.map((letters, index): Factor => {
    const shape = shapes[index]!
    const axes = letters.map((letter, axis) =>
      shape[axis] === sizes.get(letter) ? letter : undefined,
    )
    return { shape, axes, letters: axes.filter((letter) => letter !== undefined) }
  })
  return {
    factors,
    output: right === undefined ? implied(named, ellipsis) : lettersOf(right),
    sizes,
  }
}

function implied(terms: readonly (readonly string[])[], ellipsis: readonly string[]): string[] {
  const all = terms.flat()
  const once = all.filter(
    (letter) => !ellipsis.includes(letter) && all.indexOf(letter) === all.lastIndexOf(letter),
  )
  return [...ellipsis, ...once.sort()]
}
