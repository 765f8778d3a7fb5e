// Taps, settled: exact names of values of the teacher and the student for every loss that compares inside them.
import { UserError } from '../base/errors.ts'
import type { AutoTaps, Loss } from '../train/loss.ts'
import { type LossOptions, losses as table } from '../train/losses.ts'
import { isSignal } from '../train/signals.ts'
import { type TapNames, type TaughtValue, tapsOf, teacherTaps } from '../train/taps.ts'
import { attentionsOf } from './taps/attention.ts'
import { endsOf, type StageEnds } from './taps/ends.ts'
import { pairEnds } from './taps/pair.ts'
import { routeOf } from './taps/routes.ts'
import { selectValues } from './taps/select.ts'
import { quoted, type Tappable, type TapSubject, type TapValue, tappable } from './taps/values.ts'

export type { TapSubject } from './taps/values.ts'

/** Losses whose taps are exact names. */
export interface SettledTaps {
  readonly losses: readonly LossOptions[]
  /** The teacher's values that they name, each once. */
  readonly taught: readonly TaughtValue[]
  /** What was chosen where a recipe left it open, a line for the log; undefined where nothing was. */
  readonly note: string | undefined
}

/**
 * Turns `auto`, globs and regular expressions into names of values, for any two models.
 *
 * Selectors that match nothing, unequal numbers of values, values that cannot be compared, and `auto` for a model
 * whose stages are not known are a `UserError`. The teacher is needed where a loss compares with it.
 */
export async function settleTaps(
  losses: readonly LossOptions[],
  student: TapSubject,
  teacher?: TapSubject,
): Promise<SettledTaps> {
  if (!losses.some((loss) => tapsOf(loss))) return { losses, taught: [], note: undefined }
  const own = await tappable(student)
  const needsTeacher = losses.some((loss) => tapsOf(loss) && !isOfStudent(loss))
  const theirs = needsTeacher && teacher ? await tappable(teacher) : undefined
  const other = () => {
    if (!theirs) throw new Error('internal: a loss on taps of a teacher without one')
    return theirs
  }
  const chosen = remembering(knownEnds)
  const notes = new Set<string>()
  const exact = (tap: string | TapNames): readonly (string | TapNames)[] =>
    typeof tap === 'string'
      ? selectValues(tap, own).map(({ name }) => name)
      : pairsOf(tap, other(), own)
  const open = (loss: LossOptions): readonly (string | TapNames)[] => {
    const what = meant(loss)
    const wanted = <Item>(items: readonly Item[]) => (what === 'last end' ? items.slice(-1) : items)
    if (isOfStudent(loss)) {
      const ends = wanted(chosen(own, what).ends)
      notes.add(`taps auto: ${own.where}'s ${ends.map(described).join(', ')}`)
      return ends.map(({ name }) => name)
    }
    const pairs = wanted(pairEnds(chosen(other(), what), chosen(own, what)))
    const told = pairs.map(
      (pair) => `${other().where}'s ${described(pair.teacher)} for ${described(pair.student)}`,
    )
    notes.add(`taps auto: ${told.join(', ')}`)
    return pairs.map((pair) => ({ teacher: pair.teacher.name, student: pair.student.name }))
  }
  const settled = losses.map((loss): LossOptions => {
    const taps = tapsOf(loss)
    if (taps === undefined) return loss
    return withTaps(loss, taps === 'auto' ? open(loss) : taps.flatMap(exact))
  })
  const byName = new Map(theirs?.values.map((value) => [value.name, value]))
  const taught = teacherTaps(settled).map((name): TaughtValue => {
    const { value, shape } = byName.get(name)!
    const signal = isSignal(value, (each) => theirs?.types.get(each)?.shape)
    return { name, shape, ...(shape.length === 2 && { signal }) }
  })
  return { losses: settled, taught, note: notes.size > 0 ? [...notes].join('; ') : undefined }
}

/** True for losses on taps of the student alone: those without a connector to a teacher's. */
const isOfStudent = (loss: LossOptions): boolean => !('connector' in loss)

/** What a loss means by `auto`. */
const meant = (loss: LossOptions): AutoTaps =>
  // The row and the options have the same name, which the compiler cannot tie together over a union.
  (table[loss.loss] as unknown as Loss).auto?.(loss) ?? 'ends'

/** The same loss with these taps, each once. */
function withTaps(loss: LossOptions, taps: readonly (string | TapNames)[]): LossOptions {
  const unique = new Map(taps.map((tap) => [JSON.stringify(tap), tap]))
  return { ...loss, taps: [...unique.values()] } as LossOptions
}

/** The values that two selectors match, one with the other in the order of the graphs. */
function pairsOf(tap: TapNames, teacher: Tappable, student: Tappable): TapNames[] {
  const [theirs, own] = [selectValues(tap.teacher, teacher), selectValues(tap.student, student)]
  if (theirs.length !== own.length)
    throw new UserError(
      `taps do not pair: ${quoted(tap.teacher)} matches ${counted(theirs)} of ${teacher.where}, ${quoted(tap.student)} ${counted(own)} of ${student.where}: ${some(theirs)}, and ${some(own)} — name as many of both`,
    )
  return theirs.map(({ name }, index) => ({ teacher: name, student: own[index]!.name }))
}

/** The same function, which looks at each model once for each purpose. */
function remembering(
  find: (model: Tappable, what: AutoTaps) => StageEnds,
): (model: Tappable, what: AutoTaps) => StageEnds {
  const found = new Map<Tappable, Map<AutoTaps, StageEnds>>()
  return (model, what) => {
    const known = found.get(model) ?? new Map<AutoTaps, StageEnds>()
    found.set(model, known)
    const ends = known.get(what) ?? find(model, what)
    known.set(what, ends)
    return ends
  }
}

function knownEnds(model: Tappable, what: AutoTaps): StageEnds {
  const ofStages = what === 'ends' || what === 'last end'
  const ends = ofStages ? endsOf(model) : attentionEnds(model, what)
  if (ends.ends.length > 0) return ends
  const sought = ofStages ? 'stages' : what
  throw new UserError(
    `taps: 'auto' finds no ${sought} in ${model.where} among its ${model.values.length} values — name the values in taps`,
  )
}

/** What is inside the attention of every block; of values that of the last one alone (Wang et al. 2020). */
function attentionEnds(model: Tappable, what: Exclude<AutoTaps, 'ends' | 'last end'>): StageEnds {
  const found = attentionsOf(model, routeOf(model)).flatMap(({ scores, shares, values }) =>
    what === 'attention scores' ? scores : what === 'attention' ? shares : (values ?? []),
  )
  return { kind: 'blocks', ends: what === 'attention values' ? found.slice(-1) : found }
}

const described = ({ name, shape }: TapValue): string => `${quoted(name)} [${shape.join(',')}]`

const counted = ({ length }: readonly unknown[]): string =>
  `${length} value${length === 1 ? '' : 's'}`

const some = (values: readonly TapValue[]): string =>
  values
    .slice(0, 3)
    .map(({ name }) => quoted(name))
    .join(', ') + (values.length > 3 ? ', …' : '')
