// The gradient of Einsum, which is Einsum again: a factor's gradient is the product of all the others and of dL/dy,
// summed over the letters that the factor does not have (Laue, Mitterreiter and Giesen 2020).
import type { Builder } from '../../onnx/build.ts'
import { type Equation, type Factor, parse } from '../../onnx/einsum.ts'
import type { Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { fill, type Rule, shapeOf } from '../rule.ts'

/** Einsum of any number of operands, with ellipses, broadcasting and diagonals. */
export const einsum: Rule = {
  gradients: ({ g, node, dy }) => {
    const operands = node.inputs.map((_, index) => node.input(index))
    const equation = parse(node.string('equation', ''), operands.map(shapeOf))
    return operands.map((operand, index) => {
      const others = operands.filter((_, other) => other !== index)
      return gradientOf(g, equation, index, others, dy, shapeOf(operand))
    })
  },
}

function gradientOf(
  g: Builder,
  { factors, output, sizes }: Equation,
  index: number,
  others: readonly Value[],
  dy: Value,
  shape: readonly number[],
): Value {
  const own = factors[index]!
  const rest = factors.filter((_, other) => other !== index)
  const known = new Set([...output, ...rest.flatMap((factor) => factor.letters)])
  // Once each: a letter that stands twice is a diagonal. Letters that nobody else has were summed out.
  const letters = [...new Set(own.letters)]
  const found = letters.filter((letter) => known.has(letter))
  const product = contract(
    g,
    [
      { value: dy, letters: output },
      ...others.map((value, each) => factorOf(g, value, rest[each]!)),
    ],
    found,
  )
  // A 1 in place of every axis that is missing: broadcast ones, summed out ones, repetitions.
  const seen = new Set<string>()
  const line = own.axes.map((letter, axis) => {
    if (letter === undefined || seen.has(letter)) return 1
    seen.add(letter)
    return found.includes(letter) ? shape[axis]! : 1
  })
  const spread = g.Reshape(product, line)
  const diagonals = letters.filter(
    (letter) => own.axes.filter((each) => each === letter).length > 1,
  )
  if (diagonals.length === 0)
    return line.every((dim, axis) => dim === shape[axis]) ? spread : fill(g, spread, shape)
  const masked = diagonals.reduce(
    (value, letter) => g.Mul(value, diagonalMask(own.axes, letter, sizes.get(letter)!)),
    spread,
  )
  return fill(g, masked, shape)
}

/** A factor without the axes of size 1 along which it is broadcast. */
const factorOf = (g: Builder, value: Value, { letters, axes, shape }: Factor): Operand => ({
  value: letters.length === axes.length ? value : g.Reshape(value, keptOf(axes, shape)),
  letters,
})

const keptOf = (axes: readonly (string | undefined)[], shape: readonly number[]): number[] =>
  shape.filter((_, axis) => axes[axis] !== undefined)

interface Operand {
  readonly value: Value
  readonly letters: readonly string[]
}

/** The product of operands, summed over the letters that the result does not have. */
function contract(g: Builder, operands: readonly Operand[], result: readonly string[]): Value {
  const scalars = operands.filter(({ letters }) => letters.length === 0)
  const arrays = operands.filter(({ letters }) => letters.length > 0)
  const equal = arrays.length === 1 && arrays[0]!.letters.join() === result.join()
  const product =
    arrays.length === 0 || equal
      ? arrays.map(({ value }) => value)
      : g.node(
          'Einsum',
          arrays.map(({ value }) => value),
          {
            attributes: {
              equation: `${arrays.map(({ letters }) => letters.join('')).join(',')}->${result.join('')}`,
            },
          },
        )
  return [...product, ...scalars.map(({ value }) => value)].reduce((a, b) => g.Mul(a, b))
}

/** Ones where the positions along all axes of a letter are equal, broadcast along the other axes. */
function diagonalMask(axes: readonly (string | undefined)[], letter: string, size: number) {
  const dims = axes.map((each) => (each === letter ? size : 1))
  const count = axes.filter((each) => each === letter).length
  const mask = new Float32Array(size ** count)
  const stride = Array.from({ length: count }, (_, power) => size ** power).reduce((a, b) => a + b)
  for (let place = 0; place < size; place++) mask[place * stride] = 1
  return tensorOf('float32', dims, mask)
}
