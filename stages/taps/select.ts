// Which values a selector names: by exact name, glob, or regular expression.
import { distance } from 'fastest-levenshtein'
import picomatch from 'picomatch'
import { messageOf, UserError } from '../../base/errors.ts'
import type { Value } from '../../onnx/graph.ts'
import { floats, isWhole, quoted, type Tappable, type TapValue } from './values.ts'

/**
 * Gives the values that a selector names, in the order of the graph: at least one.
 *
 * A name that is there exactly is no pattern, whatever characters it has. A selector that matches nothing, or values
 * that cannot be compared, is a `UserError`.
 */
export function selectValues(
  selector: string,
  model: Pick<Tappable, 'graph' | 'values' | 'byValue' | 'types' | 'where'>,
): TapValue[] {
  const { graph, values, byValue, where } = model
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const exact = [...graph.feeds, ...made].find(({ name }) => name === selector)
  if (exact) {
    const found = byValue.get(exact)
    if (!found) throw unfit(exact, model)
    return [found]
  }
  const matches = matcher(selector, where)
  const found = values.filter(({ name, value }) => value.producer && matches(name))
  if (found.length > 0) return found
  const other = made.find(({ name }) => matches(name))
  if (other) throw unfit(other, model)
  throw new UserError(
    `${where}: taps match no value: ${quoted(selector)} — use a name, a glob, or 're:…'; ${nearest(
      selector,
      values.map(({ name }) => name),
    )}`,
  )
}

function matcher(selector: string, where: string): (name: string) => boolean {
  if (selector.startsWith('re:')) {
    try {
      const expression = new RegExp(selector.slice(3))
      return (name) => expression.test(name)
    } catch (thrown) {
      throw new UserError(
        `${where}: taps: not a regular expression: ${quoted(selector)} — ${messageOf(thrown)}`,
      )
    }
  }
  try {
    // `bash` lets a star cross slashes: names of values are not paths.
    return picomatch(selector, { bash: true, dot: true })
  } catch (thrown) {
    throw new UserError(
      `${where}: taps: not a glob: ${quoted(selector.slice(0, 50))} — ${messageOf(thrown)}`,
    )
  }
}

/** Why a value cannot be compared. */
function unfit(value: Value, { types, where }: Pick<Tappable, 'types' | 'where'>): UserError {
  const { dtype, shape } = types.get(value) ?? {}
  const shown = shape ? ` [${shape.map((dim) => dim ?? '?').join(',')}]` : ''
  const reason =
    dtype === undefined
      ? 'is no tensor'
      : !floats.has(dtype)
        ? `is ${dtype}${shown}, not of floats`
        : isWhole(shape)
          ? `${shown.trim()} has not the samples as its first axis`
          : `${shown.trim()} has a shape that is not known beforehand`
  return new UserError(
    `${where}: taps cannot compare a value: ${quoted(value.name)} ${reason} — name another`,
  )
}

/** A few names, those nearest to what was written first. */
function nearest(selector: string, names: readonly string[]): string {
  const sorted = names
    .map((name) => ({ name, far: distance(selector, name) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, shown)
    .map(({ name }) => quoted(name))
  return `values near it: ${sorted.join(', ')}${names.length > shown ? ', …' : ''}`
}

const shown = 5
