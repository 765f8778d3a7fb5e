// Those whose answers are combined, and whether they go together.
import { UserError } from '../../base/errors.ts'
import type { CombineOptions } from './combine.ts'

/** What answers are: classes of which one is right, a yes or no each, or numbers. */
export type AnswerForm = 'classes' | 'binary' | 'values'

/** One of those whose answers are combined. */
export interface Panelist {
  readonly name: string
  readonly weight: number
  /** What it is a specialist for. */
  readonly classes?: readonly number[] | undefined
  /** Of a specialist: true where it answers for its own classes and, last, for all others together. */
  readonly sumsUp?: boolean
  /** Numbers of its answer for one row (a sample, or a position of it). */
  readonly width: number
}

/**
 * Refuses teachers that cannot be combined so with a {@link UserError}; one for all classes that is alone is never
 * combined.
 */
export function checkCombination(
  { by }: CombineOptions,
  panel: readonly Omit<Panelist, 'width'>[],
  form: AnswerForm,
): void {
  const specialist = panel.find(({ classes }) => classes !== undefined)
  const [alone, ...more] = panel
  if (alone && more.length === 0 && !alone.classes) return
  const twice = panel.find(({ classes = [] }) => new Set(classes).size < classes.length)
  if (twice) throw new UserError(`combine: ${twice.name} names a class twice — leave one out`)
  if (by === 'specialists') {
    if (alone === specialist)
      throw new UserError(
        `combine: 'specialists' needs a first teacher for all classes and others for some: ${panel.map(({ name }) => name).join(', ')} — name the classes of all but the first`,
      )
    const other = more.find(({ classes }) => classes === undefined)
    if (other)
      throw new UserError(
        `combine: only the first teacher may know all classes beside specialists: ${other.name} — name its classes`,
      )
  } else if (specialist)
    throw new UserError(
      `combine: '${by}' cannot use a teacher for some classes: ${specialist.name} — choose 'specialists', or leave its classes out`,
    )
  if (form !== 'classes' && by !== 'mean' && by !== 'weighted')
    throw new UserError(
      `combine: is for answers of which one class is right: '${by}' — choose 'mean' or 'weighted'`,
    )
  if (by !== 'weighted') return
  const wrong = panel.find(({ weight }) => !(weight >= 0 && Number.isFinite(weight)))
  if (wrong)
    throw new UserError(
      `combine: a weight must be 0 or more: ${wrong.weight} of ${wrong.name} — correct it`,
    )
  if (panel.every(({ weight }) => weight === 0))
    throw new UserError(
      `combine: the weights of the teachers sum to zero: ${panel.map(({ name }) => name).join(', ')} — give one of them a weight`,
    )
}
