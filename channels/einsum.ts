// The rule of Einsum: letters are channels.

import { parse } from '../onnx/einsum.ts'
import type { Node } from '../onnx/graph.ts'
import { statedShape } from '../onnx/multiplications.ts'
import type { Rule } from './rule.ts'
import { type Slot, slot, type Tie } from './ties.ts'

/** An axis of an operand or of the result, and its letter. */
export interface Lettered extends Slot {
  readonly letter: string
  /** The operand; undefined for the result. */
  readonly factor: number | undefined
  /** How many operands have the letter. */
  readonly uses: number
  /** True where the result has it. */
  readonly made: boolean
}

/** The axes of an Einsum; undefined where an operand takes a diagonal. */
export function einsumLetters(node: Node): Lettered[] | undefined {
  const operands = node.inputs.map((_, index) => node.input(index))
  const shapes = operands.map((operand) => statedShape(operand) ?? [])
  const { factors, output } = parse(node.string('equation', ''), shapes)
  if (factors.some(({ letters }) => new Set(letters).size < letters.length)) return undefined
  const usesOf = (letter: string) =>
    factors.filter(({ letters }) => letters.includes(letter)).length
  const lettered = (
    place: Slot,
    letter: string | undefined,
    factor: number | undefined,
  ): Lettered[] =>
    letter === undefined
      ? []
      : [{ ...place, letter, factor, uses: usesOf(letter), made: output.includes(letter) }]
  return [
    ...output.flatMap((letter, axis) => lettered(slot(node.output(), axis), letter, undefined)),
    ...factors.flatMap(({ axes }, factor) =>
      axes.flatMap((letter, axis) => lettered(slot(operands[factor]!, axis), letter, factor)),
    ),
  ]
}

/**
 * The axes of a letter go together; those of a letter that the result does not have are summed over.
 *
 * A constant operand makes the letters of the result and takes those that are summed; one without either only scales.
 */
export const einsum: Rule = {
  ties(node) {
    const all = einsumLetters(node)
    if (!all) return 'takes a diagonal'
    const scales = (factor: number) =>
      all.every((one) => one.factor !== factor || (one.made && one.uses > 1))
    const ties: Tie[] = []
    const free: Slot[] = []
    for (const one of all) {
      const { letter, factor, made, uses } = one
      if (factor === undefined) continue
      const result = all.find((other) => other.factor === undefined && other.letter === letter)
      if (result) ties.push({ from: result, to: one, role: scales(factor) ? 'scale' : 'out' })
      if (made) continue
      if (uses === 1) free.push(one)
      for (const other of all)
        if (other.letter === letter && other.factor !== factor)
          ties.push({ from: other, to: one, role: 'in' })
    }
    return { ties, free }
  },
}
