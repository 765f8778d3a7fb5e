// Teacher assistants: models between teacher and student, each taught by the one before (Mirzadeh et al. 2020).
import { UserError } from '../../base/errors.ts'
import { openSource, type StudentSource, studentSource } from '../../models/source.ts'
import type { Model } from '../../onnx/graph.ts'
import type { Building } from '../building.ts'

/** Between two neighbours of a chain there are at most so many times as many parameters. */
const widestStep = 5
/** Longer chains than this gain nothing (Mirzadeh et al. 2020, section 5.2) and cost much. */
const mostAssistants = 3
/** Steps of the search for a share of the channels. */
const searchSteps = 7

/** How many numbers the weights of a model are. */
export const parametersOf = ({ graph }: Model): number =>
  [...graph.initializers].reduce((sum, { tensor }) => sum + (tensor?.size ?? 0), 0)

/** The numbers of parameters of a chain between a teacher and a student: in equal ratios, none where they are near. */
export function assistantSizes(teacher: number, student: number): number[] {
  const ratio = teacher / student
  const count = Math.min(
    mostAssistants,
    Math.ceil(Math.log(ratio) / Math.log(widestStep) - 1e-9) - 1,
  )
  return Array.from({ length: Math.max(0, count) }, (_, index) =>
    Math.round(teacher * ratio ** (-(index + 1) / (count + 1))),
  )
}

/**
 * Chooses assistants: narrower copies of the teacher whose parameters are in equal ratios between it and the student.
 *
 * A teacher that cannot be narrowed is a {@link UserError}.
 */
export async function chooseAssistants(
  student: Model,
  building: Building,
): Promise<readonly { readonly source: StudentSource; readonly parameters: number }[]> {
  const { teacher } = building
  const chosen: { readonly source: StudentSource; readonly parameters: number }[] = []
  for (const size of assistantSizes(parametersOf(teacher), parametersOf(student))) {
    let [low, high] = [0, 1]
    let best: (typeof chosen)[number] | undefined
    for (let step = 0; step < searchSteps; step++) {
      const share = (low + high) / 2
      const source = studentSource.parse({ shrink: share })
      const parameters = await sizeOf(source, building)
      if (
        !best ||
        Math.abs(Math.log(parameters / size)) < Math.abs(Math.log(best.parameters / size))
      )
        best = { source, parameters }
      if (parameters > size) high = share
      else low = share
    }
    // What cannot be narrowed far enough is no step between the two.
    if (best && best.parameters > parametersOf(student) && best.parameters < parametersOf(teacher))
      chosen.push(best)
  }
  return chosen
}

async function sizeOf(source: StudentSource, building: Building): Promise<number> {
  try {
    return parametersOf(await openSource(source, { ...building, log: undefined }))
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    throw new UserError(
      `assistants: 'auto' makes narrower copies of the teacher, which this one does not have: ${thrown.message} — name the assistants`,
      { cause: thrown },
    )
  }
}
