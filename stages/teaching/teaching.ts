// What teachers say about training samples: one or several, kept on disk or asked anew, as one answer.
import { UserError } from '../../base/errors.ts'
import type { Dataset } from '../../data/dataset.ts'
import { plainName } from '../../data/label-names.ts'
import { statedClasses } from '../../models/class-names.ts'
import type { Model } from '../../onnx/graph.ts'
import { serializeModel } from '../../onnx/save.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import type { Taught } from '../../train/loss-context.ts'
import type { Teacher } from '../../train/settings.ts'
import type { StageContext } from '../stage.ts'
import type { Respondent } from './answers.ts'
import { type Asked, askedModel } from './asked-model.ts'
import { cachedSource } from './cached.ts'
import { type AnswerForm, type CombineOptions, checkCombination, combination } from './combine.ts'
import { orderOfClasses, reorder } from './label-order.ts'
import { onlineSource } from './online.ts'
import type { Source } from './source.ts'

/** One teacher. */
export interface Member {
  readonly model: Model
  /** What log and errors call it. */
  readonly name: string
  /** How much it counts where answers are weighted. */
  readonly weight: number
  /** Classes of a specialist by index in the data's classes; undefined for a generalist. */
  readonly classes?: readonly number[]
}

/** How answers are got. */
export interface Manners {
  /** True where they are asked for anew with every batch. */
  readonly online: boolean
  /** How they are kept otherwise; gradients are always float32. */
  readonly store: 'float16' | 'float32'
  /** Samples of a batch. */
  readonly batch: number
}

/** Teachers that are ready to answer. */
export interface Teaching {
  /** Arrays in the order of outputs, taps, gradient. */
  readonly answers: Teacher
  readonly taught: Taught
  /** Frees the models. */
  readonly close: () => Promise<void>
}

/**
 * Makes teachers ready to answer about samples: outputs of several are combined, taps and gradient are the first one's.
 *
 * Where a teacher states the names of its classes, its answers are put into the data's order; probabilities become
 * logits. Teachers for other classes, whose answers do not go together or are not finite, and taps that a teacher lacks
 * or of other shapes are a {@link UserError}.
 */
export async function openTeaching(
  members: readonly Member[],
  combine: CombineOptions,
  asked: Asked,
  data: Dataset,
  how: Manners,
  context: StageContext,
): Promise<Teaching> {
  const own = asked.outputs === 'none' ? members.slice(0, 1) : members
  const form = formOf(asked, data, context)
  if (asked.outputs !== 'none') checkCombination(combine, own, form)
  const voices: Voice[] = []
  const close = async () => {
    for (const { source } of voices) await source.close()
  }
  try {
    for (const member of own) {
      const [first] = voices
      const wanted = first ? { ...asked, taps: [], gradient: false } : asked
      voices.push(await openVoice(member, { asked: wanted, form, first, data, how, context }))
    }
    const [first] = voices
    if (!first) throw new Error('internal: there are no teachers')
    const { widths } = first.source.manner
    const outputs = widths.length - asked.taps.length - Number(asked.gradient)
    checkTaps(first, asked, outputs)
    const combinations = Array.from({ length: outputs }, (_, output) =>
      combinationOf(output, { combine, members: own, voices, form, data }),
    )
    return {
      taught: { outputs, taps: asked.taps },
      async answers(batch) {
        const said: (readonly Float32Array[])[] = []
        for (const { ask } of voices) said.push(await ask(batch))
        const combined = combinations.map((together, output) =>
          together(
            said.map((arrays) => arrays[output]!),
            batch,
          ),
        )
        return [...combined, ...said[0]!.slice(outputs)]
      },
      close,
    }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

/** A teacher whose answers are in the order of the data's classes. */
interface Voice {
  readonly name: string
  readonly source: Source
  readonly ask: Source['ask']
  /** Numbers of a row of its first output: a sample, or a position of it. */
  readonly row: number
  /** True for a specialist that answers for its own classes and, last, for all others together. */
  readonly sumsUp: boolean
}

/** What a teacher is opened for. */
interface Opening {
  readonly asked: Asked
  readonly form: AnswerForm
  /** The teacher that was opened first. */
  readonly first: Voice | undefined
  readonly data: Dataset
  readonly how: Manners
  readonly context: StageContext
}

/** Targets of which one is right, and all whose outputs are one a class. */
const [exclusive, classed] = [
  new Set(['class', 'tags']),
  new Set(['class', 'tags', 'classes']),
] as const

/** What the outputs are. */
function formOf(asked: Asked, { classes }: Dataset, { task }: StageContext): AnswerForm {
  if (asked.outputs !== 'first' || classes.length === 0) return 'values'
  if (asked.binary) return 'binary'
  return exclusive.has(task.target) ? 'classes' : 'values'
}

async function openVoice(member: Member, opening: Opening): Promise<Voice> {
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

/** Taps must have the shapes that the student's were made to agree with. */
function checkTaps({ name, source }: Voice, { taps }: Asked, outputs: number): void {
  for (const [place, tap] of taps.entries()) {
    const width = source.manner.widths[outputs + place]!
    if (width !== sizeOf(tap.shape))
      throw new UserError(
        `${name}: '${tap.name}' has ${width} numbers a sample, not [${tap.shape.join(',')}] — tap another value`,
      )
  }
}

/** How the answers for one output become one. */
function combinationOf(
  output: number,
  {
    combine,
    members,
    voices,
    form,
    data,
  }: {
    readonly combine: CombineOptions
    readonly members: readonly Member[]
    readonly voices: readonly Voice[]
    readonly form: AnswerForm
    readonly data: Dataset
  },
) {
  const widths = voices.map(({ source }) => source.manner.widths[output])
  const panel = members.map(({ name, weight, classes }, place) => ({
    ...{ name, weight, classes, sumsUp: voices[place]!.sumsUp },
    width: form === 'values' ? widths[place]! : voices[place]!.row,
  }))
  const rows = panel.map(({ width }, place) => (widths[place] ?? 0) / width)
  const other = rows.findIndex(
    (count, place) => count !== rows[0] || (form === 'values' && widths[place] !== widths[0]),
  )
  if (other >= 0)
    throw new UserError(
      `${voices[other]!.name}: its answers do not go with those of ${voices[0]!.name}: ${widths[other] ?? 0} and ${widths[0]} numbers a sample — use teachers with the same outputs`,
    )
  return combination(combine, panel, form, form === 'values' ? widths[0]! : data.classes.length)
}
