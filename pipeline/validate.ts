// Everything that can be known to be wrong before the first expensive step: files, shapes, classes, providers.
import { UserError } from '../base/errors.ts'
import type { DataFacts } from '../data/open.ts'
import { checkData } from '../data/open.ts'
import type { DataFolders } from '../data/sources.ts'
import { type ModelSource, openSource } from '../models/source.ts'
import type { Model } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { predict } from '../runtime/predict.ts'
import { type ProviderName, requireProvider } from '../runtime/providers.ts'
import { tasks } from '../tasks/index.ts'
import { modelsIn } from './cost.ts'
import type { LoadedRecipe } from './read-recipe.ts'

/** What checking a recipe found out. */
export interface Checked {
  readonly data: DataFacts
  /** The teacher, untrained where it is an architecture. */
  readonly teacher: Model
}

/** Checks that a recipe can be run here; the first thing that is wrong is a {@link UserError}. */
export async function checkEverything(
  { recipe, where }: LoadedRecipe,
  folders: DataFolders,
): Promise<Checked> {
  const { provider, teacher, stages, benchmark, seed } = recipe
  await checkProvider(provider, `${where}: provider`)
  for (const name of Object.keys(benchmark.gates?.latency ?? {}) as ProviderName[])
    await checkProvider(name, `${where}: benchmark.gates.latency.${name}`)
  const data = await checkData(recipe.data, folders)
  const open = (source: ModelSource, path: string) => openFitting(source, data, seed, path)
  const model = await open(teacher.model, `${where}: teacher.model`)
  for (const [index, step] of stages.entries())
    for (const [key, source] of modelsIn(step))
      await open(source, `${where}: stages.${index}.${key}`)
  return { data, teacher: model }
}

async function checkProvider(name: ProviderName, where: string): Promise<void> {
  try {
    await requireProvider(name)
  } catch (thrown) {
    throw thrown instanceof UserError
      ? new UserError(`${where}: ${thrown.message}`, { cause: thrown })
      : thrown
  }
}

/** Opens a model and checks on a blank sample that its input takes the data and its output has the classes. */
async function openFitting(
  source: ModelSource,
  { shape, classes, source: dataSource }: DataFacts,
  seed: number,
  where: string,
): Promise<Model> {
  const model = await openSource(source, { shape, classes: classes.length, seed })
  await checkFits(
    model,
    { shape, classes, source: dataSource },
    'file' in source ? source.file : where,
  )
  return model
}

/** Runs a model on one blank sample; what does not fit the data is a {@link UserError}. */
export async function checkFits(
  model: Model,
  { shape, classes, source }: Pick<DataFacts, 'shape' | 'classes' | 'source'>,
  where: string,
): Promise<void> {
  const blank = {
    size: 1,
    shape,
    read: (_: number, into: Float32Array, offset: number) => {
      into.fill(0, offset, offset + sizeOf(shape))
    },
  }
  const { width } = await predict(model, blank, { where })
  tasks.classification.check(width, { classes, source, labels: new Int32Array() }, where)
}
