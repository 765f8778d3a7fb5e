// Everything that can be known to be wrong before the first expensive step: files, shapes, classes, providers.
import { UserError } from '../base/errors.ts'
import { firstSamples } from '../base/samples.ts'
import { suggest } from '../base/suggest.ts'
import type { Dataset, Splits } from '../data/dataset.ts'
import type { StudentSource } from '../models/source.ts'
import { openSource } from '../models/source.ts'
import type { Model } from '../onnx/graph.ts'
import { loadModel } from '../onnx/load.ts'
import { predict } from '../runtime/predict.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { shapeFor } from '../stages/building.ts'
import { stages } from '../stages/index.ts'
import type { Stage } from '../stages/stage.ts'
import { checkWidth } from '../tasks/check.ts'
import type { Task } from '../tasks/task.ts'
import { modelsIn } from './cost.ts'
import type { LoadedRecipe } from './read-recipe.ts'

/** Checks what needs no data: that the providers are here, and that files are models. */
export async function checkWithoutData({ recipe, where }: LoadedRecipe): Promise<void> {
  const { provider, teacher, stages: steps, benchmark } = recipe
  await checkProvider(provider, `${where}: provider`)
  for (const name of Object.keys(benchmark.gates?.latency ?? {}) as ProviderName[])
    await checkProvider(name, `${where}: benchmark.gates.latency.${name}`)
  for (const source of [
    teacher.model,
    ...steps.flatMap((step) => modelsIn(step)).map(([, s]) => s),
  ])
    if ('file' in source) await loadModel(source.file)
}

/** Checks that the task and all stages can do with the data. */
export function checkData({ recipe, where }: LoadedRecipe, data: Splits, task: Task): void {
  task.check?.(data.test)
  for (const [index, step] of recipe.stages.entries()) {
    const stage: Stage = stages[step.stage]
    try {
      stage.check?.(step, data)
    } catch (thrown) {
      throw thrown instanceof UserError
        ? new UserError(`${where}: stages.${index}.${thrown.message}`, { cause: thrown })
        : thrown
    }
  }
}

/** Checks that all models fit the data, and gives the teacher, untrained where it is an architecture. */
export async function checkModels(
  { recipe, where }: LoadedRecipe,
  data: Dataset,
  task: Task,
): Promise<Model> {
  const { teacher, stages: steps, seed, preprocess } = recipe
  if (preprocess && !data.image)
    throw new UserError(
      `${where}: preprocess: is for images, of which the data has none — leave it out`,
    )
  const known = new Set<string>()
  let width: number | undefined
  const open = async (source: StudentSource, path: string, reference?: Model) => {
    const shape = shapeFor(data, task, reference)
    const model = await openSource(source, { ...shape, seed, teacher: reference })
    for (const { name } of model.graph.feeds) known.add(name)
    if (isFurtherTeacher(path)) return model
    const name = 'file' in source ? source.file : path
    const found = await checkFits(model, data, task, name)
    width ??= found
    checkMatches(task, found, width, name)
    return model
  }
  const opened = await open(teacher.model, `${where}: teacher.model`)
  for (const [index, step] of steps.entries())
    for (const [key, source] of modelsIn(step))
      await open(source, `${where}: stages.${index}.${key}`, opened)
  const stray = Object.keys(data.inputs ?? {}).find((name) => !known.has(name))
  if (stray !== undefined)
    throw new UserError(
      `${where}: inputs.${stray}: no model has an input of that name — ${suggest(stray, [...known])}`,
    )
  return opened
}

/** True of the path of a model that may know some of the classes alone: it is checked when it is asked. */
export const isFurtherTeacher = (path: string): boolean => /(^|\.)teachers\.\d+\.model$/.test(path)

async function checkProvider(name: ProviderName, where: string): Promise<void> {
  try {
    await requireProvider(name)
  } catch (thrown) {
    throw thrown instanceof UserError
      ? new UserError(`${where}: ${thrown.message}`, { cause: thrown })
      : thrown
  }
}

/** Where the teacher is the truth, all models have as many numbers as it has. */
function checkMatches({ target }: Task, found: number, width: number, where: string): void {
  if (target === 'none' && found !== width)
    throw new UserError(
      `${where}: its outputs are not of the size of the teacher's: ${found} numbers a sample, not ${width} — use a model with the same outputs`,
    )
}

/** Runs a model on one sample, and gives the width of its outputs; what does not fit the data is a {@link UserError}. */
export async function checkFits(
  model: Model,
  data: Dataset,
  task: Task,
  where: string,
): Promise<number> {
  const { width } = await predict(model, firstSamples(data, 1), { where, outputs: task.outputs })
  checkWidth(task, width, data, where)
  return width
}
