// What teachers say about training samples: one or several, kept on disk or asked anew, as one answer.
import { UserError } from '../../base/errors.ts'
import type { Dataset } from '../../data/dataset.ts'
import type { Model } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import type { Taught } from '../../train/loss-context.ts'
import type { Teacher } from '../../train/settings.ts'
import type { StageContext } from '../stage.ts'
import type { Asked } from './asked-model.ts'
import { type CombineOptions, combination } from './combine.ts'
import { type AnswerForm, checkCombination } from './panel.ts'
import { openVoice, type Voice } from './voice.ts'

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

/** Targets of which one class is right. */
const exclusive: ReadonlySet<string> = new Set(['class', 'tags'])

/** What the outputs are. */
function formOf(asked: Asked, { classes }: Dataset, { task }: StageContext): AnswerForm {
  if (asked.outputs !== 'first' || classes.length === 0) return 'values'
  if (asked.binary) return 'binary'
  return exclusive.has(task.target) ? 'classes' : 'values'
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
