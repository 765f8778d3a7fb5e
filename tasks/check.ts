// Whether a model's outputs can be what a task wants.
import { UserError } from '../base/errors.ts'
import type { Task, Truth } from './task.ts'

/** Throws a {@link UserError} where outputs of this width do not fit the data; `where` names the model. */
export function checkWidth(
  task: Pick<Task, 'width'>,
  width: number,
  truth: Truth,
  where: string,
): void {
  const wanted = task.width(truth)
  if (wanted === undefined || wanted === width) return
  const { source, classes } = truth
  const what =
    classes.length > 0
      ? `the ${classes.length} classes of data '${source}'`
      : `data '${source}', which asks for ${wanted}`
  const remedy = classes.length > 0 ? "use data with the model's classes" : 'use other data'
  throw new UserError(
    `${where}: its outputs do not fit the labels: ${width} outputs for ${what} — ${remedy}`,
  )
}
