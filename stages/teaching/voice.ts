// One teacher among others: asked as it was wanted, its answers in the order of the data's classes.
import { UserError } from '../../base/errors.ts'
import type { Dataset } from '../../data/dataset.ts'
import { plainName } from '../../data/label-names.ts'
import { statedClasses } from '../../models/class-names.ts'
import { serializeModel } from '../../onnx/save.ts'
import type { StageContext } from '../stage.ts'
import type { Respondent } from './answers.ts'
import { type Asked, askedModel } from './asked-model.ts'
import { cachedSource } from './cached.ts'
import { orderOfClasses, reorder } from './label-order.ts'
import { onlineSource } from './online.ts'
import type { AnswerForm } from './panel.ts'
import type { Source } from './source.ts'
import type { Manners, Member } from './teaching.ts'

/** A teacher whose answers are in the order of the data's classes. */
export interface Voice {
  readonly name: string
  readonly source: Source
  readonly ask: Source['ask']
  /** Numbers of a row of its first output: a sample, or a position of it. */
  readonly row: number
  /** True for a specialist that answers for its own classes and, last, for all others together. */
  readonly sumsUp: boolean
}

/** What a teacher is opened for. */
export interface Opening {
  readonly asked: Asked
  readonly form: AnswerForm
  /** The teacher that was opened first. */
  readonly first: Voice | undefined
  readonly data: Dataset
  readonly how: Manners
  readonly context: StageContext
}

/** Targets for which a model has an output a class. */
const classed: ReadonlySet<string> = new Set(['class', 'tags', 'classes'])

/** Makes one teacher ready to answer; one for other classes is a {@link UserError}. */
export async function openVoice(member: Member, opening: Opening): Promise<Voice> {
  const { model, name, classes: own } = member
  const { asked, form, first, data, how, context } = opening
  const isClassed =
    asked.outputs !== 'none' && data.classes.length > 0 && classed.has(context.task.target)
  const stated = isClassed ? statedClasses(model) : undefined
  const rowWidth = (width: number) => (isClassed ? rowOf(width, member, data, first) : width)
  const order = (wanted: readonly string[]) => orderOfClasses(stated, wanted, name)
  // A model for other classes is refused before it is asked.
  if (!own) order(data.classes)
  const batch = how.batch
  const asModel = await askedModel(
    { name, model, samples: data, batch, classes: data.classes.length },
    asked,
  )
  const respondent: Respondent = {
    ...{ name, form, rowWidth, names: asModel.names, bytes: serializeModel(asModel.model) },
  }
  const exact = new Set(asked.gradient ? [asModel.names.length - 1] : [])
  const source = how.online
    ? await onlineSource(respondent, data, batch, context)
    : await cachedSource(respondent, data, { store: how.store, batch, exact }, context)
  try {
    const row = rowWidth(source.manner.widths[0] ?? 0)
    const sumsUp = own !== undefined && doesSumUp(stated, own, row, data)
    const settled = sumsUp ? orderOfSpecialist(stated, own, data, name) : order(data.classes)
    if (!settled) return { name, source, row, sumsUp, ask: (batch) => source.ask(batch) }
    context.log(`${name}: its classes are put into the order of the data's, by name`)
    return {
      ...{ name, source, row, sumsUp },
      async ask(batch) {
        const answers = await source.ask(batch)
        reorder(answers[0]!, settled)
        return answers
      },
    }
  } catch (thrown) {
    await source.close()
    throw thrown
  }
}

/** Numbers of a row of an output: one a class; of a specialist's, perhaps its own classes and the rest. */
function rowOf(
  width: number,
  { name, classes: own }: Member,
  { classes, source }: Dataset,
  first: Voice | undefined,
): number {
  const all = classes.length
  const positions = first ? first.source.manner.widths[0]! / first.row : width / all
  const row = width / positions
  if (Number.isInteger(positions) && (row === all || (own && row === own.length + 1))) return row
  throw new UserError(
    `${name}: its output does not fit the data: ${width} numbers a sample for ${all} classes of ${source}${own ? `, of which it knows ${own.length}` : ''} — use a teacher for the same classes`,
  )
}

/**
 * True where a specialist's last number stands for all classes that are not its own. One that leaves out a single class
 * has as many numbers either way; unless the names that it states say otherwise, they are those of all classes.
 */
function doesSumUp(
  stated: readonly string[] | undefined,
  own: readonly number[],
  row: number,
  { classes }: Dataset,
): boolean {
  if (row !== classes.length) return true
  if (!stated || own.length + 1 !== row) return false
  const names = new Set(stated.map(plainName))
  return !classes.every((name) => names.has(plainName(name)))
}

/** The order of the answers of a specialist by the names that it states, which may leave out that of the rest. */
function orderOfSpecialist(
  stated: readonly string[] | undefined,
  own: readonly number[],
  { classes }: Dataset,
  name: string,
): Int32Array | undefined {
  const names = stated?.slice(0, stated.length > own.length ? -1 : undefined)
  const wanted = own.map((index) => classes[index]!)
  const order = orderOfClasses(names, wanted, name)
  return order && Int32Array.of(...order, own.length)
}
