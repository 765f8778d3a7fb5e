// Reference evaluator of Einsum: the sum over all values of all letters, as the definition says.
import { at, type Evaluator, fill, positions, required } from './nd.ts'

const einsumOf: Evaluator = (inputs, attributes) => {
  const operands = inputs.map(required)
  const [left = '', right] = String(attributes.equation).replaceAll(' ', '').split('->')
  const terms = left.split(',')
  // The axes of an ellipsis are called -1 (the last), -2, …
  const named = terms.map((term, index): (string | number)[] => {
    const [before = '', after = ''] = term.split('...')
    const covered = term.includes('...') ? operands[index]!.dims.length - term.length + 3 : 0
    return [...before, ...Array.from({ length: covered }, (_, axis) => axis - covered), ...after]
  })
  const sizes = new Map<string | number, number>()
  for (const [index, names] of named.entries())
    for (const [axis, name] of names.entries())
      sizes.set(name, Math.max(sizes.get(name) ?? 1, operands[index]!.dims[axis]!))
  const ellipsis = [...sizes.keys()]
    .filter((name) => typeof name === 'number')
    .sort((a, b) => a - b)
  const all = named.flat()
  const once = all.filter(
    (name) => typeof name === 'string' && all.filter((each) => each === name).length === 1,
  )
  const [before = '', after = ''] = (right ?? '').split('...')
  const output: (string | number)[] =
    right === undefined
      ? [...ellipsis, ...once.sort()]
      : [...before, ...(right.includes('...') ? ellipsis : []), ...after]
  const summed = [...sizes.keys()].filter((name) => !output.includes(name))
  const inner = positions(summed.map((name) => sizes.get(name)!))
  return fill(
    output.map((name) => sizes.get(name)!),
    (position) =>
      inner.reduce((sum, place) => {
        const indexOf = (name: string | number) =>
          output.includes(name) ? position[output.indexOf(name)]! : place[summed.indexOf(name)]!
        return (
          sum +
          operands.reduce(
            (product, operand, index) =>
              product *
              at(
                operand,
                operand.dims.map((dim, axis) => (dim === 1 ? 0 : indexOf(named[index]![axis]!))),
              ),
            1,
          )
        )
      }, 0),
  )
}

/** Evaluators by operator. */
export const einsum: Readonly<Record<string, Evaluator>> = { Einsum: einsumOf }
