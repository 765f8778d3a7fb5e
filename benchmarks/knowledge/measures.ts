// The measures of what is left of the teacher's knowledge, one row each, and how changes of the input are borne.
import type { Predictions } from '../../tasks/task.ts'
import type { Knowledge } from '../report/report.ts'
import { boundOf, type ChangeKind, type ChangeName, changeKinds } from './changes.ts'
import { cka } from './cka.ts'
import { type Observed, type Scene, Unmeasured, withOpen } from './observe.ts'
import { reliabilityOf } from './reliability.ts'
import { type Bearing, bearingOf } from './robustness.ts'
import { saliencyAgreement } from './saliency.ts'
import { transferOf } from './transfer.ts'

/** A measure compares a model with the teacher; where it cannot tell, it throws {@link Unmeasured} or what a process said. */
type Measures = {
  readonly [Name in 'transfer' | 'calibration' | 'representation' | 'saliency']: (
    own: Observed,
    teacher: Observed,
    scene: Scene,
  ) => Promise<NonNullable<Knowledge[Name]>>
}

/** The measures by their place in the report. */
export const measures: Measures = {
  async transfer(own, teacher, { context: { data, task } }) {
    needClasses(task.target)
    return transferOf(teacher.predictions, own.predictions, data)
  },
  async calibration(own, _teacher, { context: { data, task } }) {
    needClasses(task.target)
    return given(reliabilityOf(own.predictions, data), 'its outputs are not finite numbers')
  },
  async representation(own, teacher, { shuffled }) {
    const found: { what: string; cka: number }[] = []
    for (const pair of [undefined, ...own.taps]) {
      const what = pair?.variant ?? 'features'
      const files = [
        await teacher.features(pair?.teacher),
        await own.features(pair?.variant),
      ] as const
      found.push({ what, cka: alike(withOpen(files, cka), what) })
    }
    const [theirs, mine] = [
      chosen(teacher.predictions, shuffled),
      chosen(own.predictions, shuffled),
    ]
    return [...found, { what: 'outputs', cka: alike(cka(theirs, mine), 'outputs') }]
  },
  async saliency(own, teacher, { context: { task } }) {
    needClasses(task.target)
    const files = [await teacher.gradients('largest'), await own.gradients('largest')] as const
    return given(withOpen(files, saliencyAgreement), 'its gradients are not finite numbers')
  },
}

/** How a model and the teacher bear one kind of change, at each of its strengths. */
export async function bear(
  name: ChangeName,
  own: Observed,
  teacher: Observed,
  { context: { task, seed }, facts, truth }: Scene,
): Promise<Bearing[]> {
  const kind: ChangeKind = changeKinds[name]
  if (typeof facts === 'string') throw new Unmeasured(facts)
  if (kind.images && facts.side === undefined) throw new Unmeasured('the samples are no images')
  if (kind.directions) needClasses(task.target)
  const answers = async (model: Observed, strength: number) => {
    const source = kind.directions === 'own' ? model : teacher
    const { steps } = kind
    const bound = steps && { name: `${name} ${strength}`, steps, size: boundOf(facts, strength) }
    const directions =
      kind.directions && (await (bound ? source.attack(bound) : source.gradients('cross-entropy')))
    const change = kind.change(strength, facts, { seed, directions })
    // The teacher's own steps are the teacher's, whatever they are called.
    return await model.under(change, `${directions?.path ?? name} ${strength}`)
  }
  const found: Bearing[] = []
  for (const strength of kind.strengths) {
    const files = [await answers(teacher, strength), await answers(own, strength)] as const
    const bearing = withOpen(files, (theirs, mine) =>
      bearingOf(teacher.normalise(theirs), own.normalise(mine), truth, task),
    )
    if (!Number.isFinite(bearing.value))
      throw new Unmeasured('its answers to changed samples are not finite numbers')
    found.push({ strength, ...bearing })
  }
  return found
}

/** Predictions for some of the samples, renumbered from 0. */
const chosen = ({ width, row }: Predictions, indices: Uint32Array): Predictions => ({
  size: indices.length,
  width,
  row: (index) => row(indices[index]!),
})

const alike = (value: number | null, what: string): number =>
  given(value, `its ${what} do not vary, or are not finite numbers`)

function given<Value>(value: Value | null, reason: string): Value {
  if (value === null) throw new Unmeasured(reason)
  return value
}

function needClasses(target: string): void {
  if (target !== 'class') throw new Unmeasured('the task has no single right class')
}
