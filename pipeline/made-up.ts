// What is known of inputs that are made up, where no data is named.
import { UserError } from '../base/errors.ts'
import type { RandomOptions } from '../runtime/random-feeds.ts'
import type { Surroundings } from './surroundings.ts'

/** Commands that measure without data, too. */
export interface MadeUpRequest
  extends Pick<Surroundings, 'data' | 'task' | 'preprocess' | 'inputs'> {
  /** Shapes of made-up inputs, by name. */
  readonly shapes?: RandomOptions['shapes'] | undefined
}

/**
 * What is known of the inputs of a model; undefined where there is data.
 *
 * What goes with data alone, or without it alone, is a {@link UserError}.
 */
export function madeUpInputs(
  { data, shapes, inputs = {}, ...others }: MadeUpRequest,
  where: string,
): Pick<RandomOptions, 'shapes' | 'constants'> | undefined {
  if (data !== undefined) {
    if (shapes !== undefined)
      throw new UserError(`${where}: the shapes come from the data — leave out --shape or --data`)
    return undefined
  }
  for (const name of ['task', 'preprocess'] as const)
    if (others[name] !== undefined)
      throw new UserError(
        `${where}: --${name} says nothing of random inputs — give data, as --data digits, or leave it out`,
      )
  const constants = Object.entries(inputs).map(([name, source]) => {
    if ('constant' in source) return [name, source.constant] as const
    throw new UserError(
      `${where}: inputs.${name}: without data only a constant can be given: '${JSON.stringify(source)}' — give data, or { constant: 1 }`,
    )
  })
  return { ...(shapes && { shapes }), constants: Object.fromEntries(constants) }
}
