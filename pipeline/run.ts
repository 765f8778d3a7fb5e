// A run: the teacher, the stages, the benchmark, the report. What can be reused is found in the cache, what comes out
// lies in the run's folder.
import { join, relative } from 'node:path'
import { messageOf, throwIfAborted } from '../base/errors.ts'
import { type BenchmarkRequest, benchmark, type Measured } from '../benchmarks/benchmark.ts'
import type { Report, Variant } from '../benchmarks/report/report.ts'
import type { Rivals } from '../benchmarks/rivals.ts'
import { measureSize } from '../benchmarks/size.ts'
import type { Subject } from '../benchmarks/subject.ts'
import { withScratchFolder } from './cache.ts'
import type { RunEvent } from './events.ts'
import { hasPassed, judgeGates } from './gates.ts'
import type { Task } from './key.ts'
import { chooseFolder, type Output, openOutput } from './output.ts'
import { preparationOf } from './preparation.ts'
import { loadRecipe, type Prepared, prepare, type RunOptions } from './prepare.ts'
import { type RecipeInput, teacherId } from './recipe.ts'
import { assembleReport } from './report.ts'
import { samplesOf } from './samples.ts'
import { type Finished, placeOf, runStep } from './step.ts'
import type { Stored } from './stored.ts'
import { taughtPairs } from './trainings.ts'
import { type Origin, stampRetention, variantFile, writeVariant } from './variants.ts'

/**
 * Runs a recipe, given as data or as the path of its file, and resolves to its report.
 *
 * The report, every variant and the events lie in the run's folder then. A missed gate is in the report, not an
 * error; what the user can mend is a `UserError`, an aborted `signal` ends in `Interrupted`. Finished stages are kept
 * in the cache, so that the same call goes on where one before it stopped.
 *
 * @example
 * const report = await run('recipes/digits.yaml', { onEvent: (event) => console.log(event) })
 */
export async function run(recipe: RecipeInput | string, options: RunOptions = {}): Promise<Report> {
  const loaded = loadRecipe(recipe, options)
  const folder = chooseFolder(loaded.recipe, options.outFolder)
  let output: Output | undefined
  const emit = (event: RunEvent) => {
    output?.record(event)
    options.onEvent?.(event)
  }
  const prepared = await prepare(loaded, { ...options, onEvent: emit })
  output = openOutput(loaded.recipe, folder)
  try {
    const { teacherTask, tasks } = prepared
    const stages = [...(teacherTask ? [teacherTask] : []), ...tasks].map(placeOf)
    const { name } = loaded.recipe
    emit({ event: 'run-start', name, folder, steps: tasks.length, stages })
    const report = await runPrepared(prepared, output, emit, options)
    emit({ event: 'run-done', folder, passed: hasPassed(report) })
    return report
  } catch (thrown) {
    recordFailure(output, thrown)
    throw thrown
  } finally {
    output.close()
  }
}

/** The disk may be full, and what stopped the run is more important than the record of it. */
function recordFailure(output: Output, thrown: unknown): void {
  try {
    output.record({ event: 'run-failed', message: messageOf(thrown) })
  } catch {
    // The error that is thrown next says the same.
  }
}

async function runPrepared(
  prepared: Prepared,
  output: Output,
  emit: (event: RunEvent) => void,
  { rivals = {}, onPartial }: Pick<RunOptions, 'rivals' | 'onPartial'>,
): Promise<Report> {
  const { loaded, world } = prepared
  const teacher = await makeTeacher(prepared, output.folder)
  const subjects = await makeVariants(prepared, teacher, output.folder)
  throwIfAborted(world.signal)
  emit({ event: 'benchmark-start', variants: subjects.length })
  const taught = taughtPairs(loaded.recipe.stages, world.task)
  const compared = { ...rivals }
  for (const pair of taught)
    compared[pair.taught] = [...new Set([...(compared[pair.taught] ?? []), pair.plain])]
  const { name, seed, benchmark: asked } = loaded.recipe
  const { task, data } = world
  const about = { name, seed, task, data, recipe: { ...loaded.recipe }, taught }
  const onKnown =
    onPartial &&
    (async (known: Measured) => onPartial(await assembleReport({ ...about, ...known, gates: [] })))
  const measured = await measure(prepared, teacher, subjects, compared, { emit, onKnown })
  const variants = await stampAll(output.folder, measured.variants)
  const report = await assembleReport({
    ...about,
    teacher: measured.teacher,
    variants,
    samples: measured.samples,
    gates: judgeGates(asked.gates, { teacher: measured.teacher, variants }),
  })
  // Plots and pages take a third of a second to load, which a plan or a refused recipe need not pay for.
  const { renderReport } = await import('../benchmarks/report/render.ts')
  output.write({
    ...renderReport(report),
    'preparation.json': preparationOf(loaded, world.data),
  })
  return report
}

/** Runs the stages in order, each on the variant that it names, and writes what comes out. */
async function makeVariants(
  prepared: Prepared,
  teacher: Teacher,
  folder: string,
): Promise<Subject[]> {
  const models = new Map<string, Stored>([[teacherId, teacher.stored]])
  const subjects: Subject[] = []
  for (const task of prepared.tasks) {
    const input = models.get(task.from)
    if (!input) throw new Error(`internal: '${task.id}' comes before '${task.from}'`)
    const finished = await runStep(task, input, teacher.stored, prepared.world, models)
    models.set(task.id, finished)
    const origin = originOf(prepared, task.id, teacher.stored.hash)
    const path = await writeVariant(folder, await finished.load(), origin)
    subjects.push(subjectOf(task, task.from, finished, path))
  }
  return subjects
}

function measure(
  { loaded: { recipe }, world }: Prepared,
  teacher: Teacher,
  variants: readonly Subject[],
  rivals: Rivals,
  {
    emit,
    onKnown,
  }: Pick<BenchmarkRequest, 'onKnown'> & { readonly emit: (event: RunEvent) => void },
): ReturnType<typeof benchmark> {
  return withScratchFolder(world.cacheFolder, (workFolder) =>
    benchmark({
      teacher: teacher.subject,
      variants,
      data: world.data.splits.test,
      task: world.task,
      providers: recipe.benchmark.providers,
      latency: recipe.benchmark.latency,
      knowledge: recipe.benchmark.knowledge,
      // Both look into the models, and both are left out of a quick run.
      layers: recipe.benchmark.knowledge !== false,
      ...samplesOf(recipe.benchmark.samples, world.data),
      rivals,
      workFolder,
      seed: recipe.seed,
      signal: world.signal,
      onProgress: ({ done, what }) => emit({ event: 'benchmark-progress', done, what }),
      onKnown,
      log: (message) => emit({ event: 'log', message }),
    }),
  )
}

interface Teacher {
  readonly stored: Stored
  readonly subject: Subject
}

/** The teacher: trained first where the recipe says so, otherwise the file as it is. */
async function makeTeacher(prepared: Prepared, folder: string): Promise<Teacher> {
  const { origin, teacherTask, world, loaded } = prepared
  if (teacherTask) {
    const finished = await runStep(teacherTask, origin, origin, world)
    const model = await finished.load()
    const path = await writeVariant(folder, model, originOf(prepared, teacherId, finished.hash))
    return { stored: finished, subject: subjectOf(teacherTask, null, finished, path) }
  }
  const { model } = loaded.recipe.teacher
  if (!('file' in model)) throw new Error('internal: an architecture that is not trained')
  const file = relative(folder, model.file).replaceAll('\\', '/')
  const subject = { id: teacherId, stage: teacherId, from: null, path: model.file, file }
  return { stored: origin, subject }
}

const originOf = (
  { loaded: { written, recipe } }: Prepared,
  variant: string,
  teacherHash: string,
): Origin => ({ variant, recipe: written, seed: recipe.seed, teacherHash })

function subjectOf(
  { id, options }: Task,
  from: string | null,
  { facts, epochSeconds }: Finished,
  path: string,
): Subject {
  const { stage, ...stageOptions } = options
  const epochs = facts.epochs?.map(({ epoch, loss, score, terms }, index) => ({
    epoch,
    loss,
    ...(terms && { terms: [...terms] }),
    validationAccuracy: score,
    seconds: epochSeconds[index] ?? 0,
  }))
  return {
    id,
    stage,
    from,
    path,
    file: variantFile(id),
    stageOptions,
    ...(epochs && { training: { epochs } }),
    ...(facts.taps && {
      taps: facts.taps.map(({ teacher, student }) => ({ teacher, variant: student })),
    }),
    ...(facts.advice?.length && { advice: facts.advice }),
  }
}

/** Writes the measured retention into the files, and what that did to their sizes into the results. */
async function stampAll(folder: string, variants: readonly Variant[]): Promise<Variant[]> {
  const stamped: Variant[] = []
  for (const variant of variants) {
    const { retention } = variant
    const path = join(folder, variant.file)
    stamped.push(
      retention
        ? {
            ...variant,
            ...(await measureSize(path, await stampRetention(path, retention.accuracy))),
          }
        : variant,
    )
  }
  return stamped
}
