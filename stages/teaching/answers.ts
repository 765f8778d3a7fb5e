// What all ways to a teacher's answers share: how they are laid out, and that they are finite logits.
import { UserError } from '../../base/errors.ts'
import type { Dataset } from '../../data/dataset.ts'
import { predictEach } from '../../runtime/predict.ts'
import type { Session } from '../../runtime/session.ts'
import type { StageContext } from '../stage.ts'
import type { AnswerForm } from './panel.ts'

/** A teacher as it is asked. */
export interface Respondent {
  /** What errors call it. */
  readonly name: string
  /** Its file, as it is asked. */
  readonly bytes: Uint8Array
  /** What errors call each of its outputs. */
  readonly names: readonly string[]
  readonly form: AnswerForm
  /** Numbers of a row of its first output (see `Panelist`), of which a sample has that many altogether. */
  readonly rowWidth: (width: number) => number
}

/** What is known of answers before they are given. */
export interface Manner {
  /** Numbers a sample of each array. */
  readonly widths: readonly number[]
  /** True where the first array holds probabilities, which are turned into logits. */
  readonly probabilities: boolean
}

/** So many samples tell what a teacher answers with. */
const examined = 256

/** Asks about the first samples what the arrays are, and refuses a teacher that lacks one. */
export async function mannerOf(
  respondent: Respondent,
  session: Session,
  data: Dataset,
  batch: number,
  { signal }: Pick<StageContext, 'signal'>,
): Promise<Manner> {
  const { name, names, form, rowWidth } = respondent
  const few = { ...data, size: Math.min(data.size, form === 'values' ? 1 : examined) }
  let manner: Manner | undefined
  const options = { where: name, outputs: 'all', batch, signal } as const
  await predictEach(session, few, options, (values, _start, count, widths) => {
    if (widths.length !== names.length)
      throw new UserError(
        `${name}: one of what is asked is no tensor of numbers: ${names.join(', ')} — choose others`,
      )
    const [width = 0] = widths
    const total = values.length / count
    let probabilities = manner?.probabilities ?? form !== 'values'
    const row = form === 'values' ? width : rowWidth(width)
    for (let sample = 0; sample < count && probabilities; sample++)
      for (let start = sample * total; start < sample * total + width; start += row)
        probabilities &&= areProbabilities(values.subarray(start, start + row), form)
    manner = { widths, probabilities }
  })
  if (!manner) throw new Error('internal: a teacher was asked about no samples')
  return manner
}

/** True for numbers from 0 to 1 that, where only one class is right, sum to 1 as closely as 16 bits can say. */
function areProbabilities(row: Float32Array, form: AnswerForm): boolean {
  let sum = 0
  for (const value of row) {
    if (!(value >= -1e-6 && value <= 1 + 1e-6)) return false
    sum += value
  }
  return form === 'binary' || (row.length > 1 && Math.abs(sum - 1) < 0.01)
}

/** What a teacher is told to have where its outputs are probabilities. */
export const probabilitiesNote = ({ name, names }: Respondent): string =>
  `${name}: its output ${names[0]} holds probabilities; their logarithms are learned from`

/** The least probability that a logarithm is taken of. */
const least = 1e-7

/**
 * Refuses answers that are no finite numbers, and turns probabilities into logits in place.
 *
 * `values` holds the arrays of `count` samples side by side; `numberOf` gives the number of a row's sample, from 0.
 */
export function settle(
  values: Float32Array,
  count: number,
  { name, names, form }: Respondent,
  { widths, probabilities }: Manner,
  numberOf: (row: number) => number,
): void {
  const total = values.length / count
  for (let at = 0; at < count * total; at++) {
    if (Number.isFinite(values[at]!)) continue
    let [array, offset] = [0, at % total]
    while (offset >= widths[array]!) offset -= widths[array++]!
    const sample = numberOf(Math.floor(at / total)) + 1
    throw new UserError(
      `${name}: ${names[array]} is not finite for training sample ${sample}: ${values[at]} — use another teacher, or leave the sample out`,
    )
  }
  if (!probabilities) return
  for (let row = 0; row < count; row++)
    for (let at = row * total; at < row * total + widths[0]!; at++) {
      const p = Math.max(values[at]!, least)
      const rest = form === 'binary' ? Math.log(Math.max(1 - values[at]!, least)) : 0
      values[at] = Math.log(p) - rest
    }
}
