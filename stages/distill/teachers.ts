// Who teaches: the recipe's teacher, variants that were made before, other models; each for all classes or for some.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { suggest } from '../../base/suggest.ts'
import type { Dataset } from '../../data/dataset.ts'
import { modelSource, openSource } from '../../models/source.ts'
import { buildingFor } from '../building.ts'
import type { StageContext } from '../stage.ts'
import type { Member } from '../teaching/teaching.ts'

const shared = {
  weight: z
    .number()
    .min(0)
    .default(1)
    .describe("How much it counts, where answers are 'weighted'."),
  classes: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('The classes that it is a specialist for; a generalist, unless given.'),
}

/** Schema of one teacher. */
export const teacherOptions = z
  .union([
    z.strictObject({
      variant: z.string().describe("Id of an earlier variant, or 'teacher'."),
      ...shared,
    }),
    z.strictObject({ model: modelSource, ...shared }),
  ])
  .describe('One teacher.')

/** One teacher, resolved. */
export type TeacherOptions = z.output<typeof teacherOptions>

/** Opens the teachers of a stage; the context's where none are named. */
export async function openTeachers(
  asked: readonly TeacherOptions[] | undefined,
  data: Dataset,
  context: StageContext,
): Promise<readonly Member[]> {
  if (!asked) return [{ name: 'teacher', model: context.teacher, weight: 1 }]
  if (asked.every(({ weight }) => weight === 0))
    throw new UserError('teachers: their weights sum to zero — give one of them a weight')
  const members: Member[] = []
  for (const [index, options] of asked.entries()) {
    const { weight, classes } = options
    const place = `teachers.${index}`
    const known =
      'variant' in options
        ? { name: `teacher '${options.variant}'`, model: await context.variant(options.variant) }
        : {
            name: place,
            model: await openSource(options.model, buildingFor(data, context)),
          }
    members.push({
      ...known,
      weight,
      ...(classes && { classes: classes.map((name) => classOf(name, data, `${place}.classes`)) }),
    })
  }
  return members
}

/** The number of a class. */
function classOf(name: string, { classes, source }: Dataset, where: string): number {
  const found = classes.indexOf(name)
  if (found < 0)
    throw new UserError(`${where}: no class of ${source}: '${name}' — ${suggest(name, classes)}`)
  return found
}
