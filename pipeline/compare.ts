// What `condense compare` is given: runs, reports, single variants and files, in any mixture.
import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { UserError } from '../base/errors.ts'
import { sha256 } from '../base/hash.ts'
import { suggest } from '../base/suggest.ts'
import type { ComparedModel, ComparedRun, Comparison } from '../benchmarks/comparison/comparison.ts'
import { namedTogether } from '../benchmarks/report/judge.ts'
import { readReport, reportPath } from '../benchmarks/report/read.ts'
import type { Report, Variant } from '../benchmarks/report/report.ts'
import { measureSize } from '../benchmarks/size.ts'
import { loadModel } from '../onnx/load.ts'
import { serializeModel } from '../onnx/save.ts'
import type { TaskName } from '../tasks/index.ts'
import type { BenchRequest } from './bench.ts'
import { modelName } from './model-name.ts'

/** What was named: a model that a run has measured, or a file alone. */
type Named =
  | { readonly report: string; readonly variant: string | undefined }
  | { readonly file: string }

const reportName = 'report.json'

/**
 * Finds out what each text names: the folder of a run or its report (all of its models), `RUN:VARIANT` or a path below
 * `RUN/variants` (one of them), or an ONNX file. What is there is looked up, what is not is a {@link UserError}.
 */
function namedBy(text: string): Named {
  const found = statSync(text, { throwIfNoEntry: false })
  if (found) {
    const variant = variantAt(text)
    if (variant) return variant
    if (found.isDirectory()) {
      if (existsSync(join(text, reportName))) return { report: text, variant: undefined }
      throw new UserError(
        `${text}: no ${reportName} in this folder — give the folder of a finished run, its report, RUN:VARIANT, or an ONNX file`,
      )
    }
    return /\.json$/i.test(text) ? { report: text, variant: undefined } : { file: text }
  }
  const colon = text.lastIndexOf(':')
  const run = text.slice(0, colon)
  if (colon > 0 && existsSync(run)) return { report: run, variant: text.slice(colon + 1) }
  throw new UserError(
    `${text}: no such run or file — give the folder of a finished run, its report, RUN:VARIANT, or an ONNX file`,
  )
}

/** The variant of a run whose file, or the folder of it, a path is. */
function variantAt(path: string): Named | undefined {
  const absolute = resolve(path)
  for (const run of [resolve(absolute, '../..'), resolve(absolute, '../../..')]) {
    const report = join(run, reportName)
    if (!existsSync(report)) continue
    const { teacher, variants } = readReport(report)
    const isIt = ({ file }: Variant) =>
      [resolve(run, file), dirname(resolve(run, file))].includes(absolute)
    const variant = [teacher, ...variants].find(isIt)
    if (variant) return { report: relative('.', run) || '.', variant: variant.id }
  }
  return undefined
}

/** The models that are named, each with its run; two that are the same are a {@link UserError}. */
function modelsNamed(texts: readonly string[]): Found[] {
  const runs = new Map<string, ComparedRun>()
  const runAt = (path: string): ComparedRun => {
    const key = realpathSync(reportPath(path))
    const known = runs.get(key)
    if (known) return known
    const report = readReport(path)
    // Runs of one recipe are told apart by their folders.
    const name = unique(
      basename(dirname(key)) || report.name,
      [...runs.values()].map((other) => other.name),
    )
    const run = { name, path, report }
    runs.set(key, run)
    return run
  }
  const found: Found[] = []
  const add = (text: string, model: Found) => {
    const same = found.some((other) =>
      model.run
        ? other.run === model.run && other.variant === model.variant
        : other.path === model.path,
    )
    if (same) throw new UserError(`${text}: given twice — name each model once`)
    found.push(model)
  }
  for (const text of texts) {
    const named = namedBy(text)
    if ('file' in named) {
      add(text, { text, path: realpathSync(named.file) })
      continue
    }
    if (!existsSync(reportPath(named.report))) readReport(named.report)
    const run = runAt(named.report)
    const all = [run.report.teacher, ...run.report.variants]
    const chosen = named.variant === undefined ? all : all.filter(({ id }) => id === named.variant)
    if (chosen.length === 0)
      throw new UserError(
        `${text}: run '${run.name}' has no variant '${named.variant}' — ${suggest(
          named.variant!,
          all.map(({ id }) => id),
        )}`,
      )
    for (const variant of chosen) add(text, { text, run, variant })
  }
  if (found.length < 2)
    throw new UserError(
      `${texts.join(' ')}: one model alone has nothing to be compared with — name a second one, or measure it with 'condense bench'`,
    )
  return found
}

/** A model of a run, or a file alone. */
type Found =
  | {
      readonly text: string
      readonly run: ComparedRun
      readonly variant: Variant
      readonly path?: never
    }
  | { readonly text: string; readonly run?: never; readonly variant?: never; readonly path: string }

/** A name that is not among those taken: itself, or with -2, -3, …. */
function unique(name: string, taken: readonly string[]): string {
  let free = name
  for (let count = 2; taken.includes(free); count++) free = `${name}-${count}`
  return free
}

/**
 * Puts side by side what the reports of runs say; of files alone their size is measured.
 *
 * Each text names a run, a report, `RUN:VARIANT` or an ONNX file. What cannot be read is a {@link UserError}.
 */
export async function compare(texts: readonly string[]): Promise<Comparison> {
  const found = modelsNamed(texts)
  const runs = [...new Set(found.flatMap(({ run }) => run ?? []))]
  const ids = idsOf(found, runs.length > 1)
  const models: ComparedModel[] = []
  for (const [index, each] of found.entries())
    models.push({
      id: ids[index]!,
      run: each.run,
      variant: each.run ? each.variant : await fileAlone(each.text, ids[index]!),
    })
  return { createdAt: new Date().toISOString(), runs, models }
}

/** Unique names of models: with that of their run where there are several. */
function idsOf(found: readonly Found[], severalRuns: boolean): string[] {
  const ids: string[] = []
  for (const { run, variant, text } of found) {
    const name = run ? (severalRuns ? `${run.name}/${variant.id}` : variant.id) : modelName(text)
    ids.push(unique(name, ids))
  }
  return ids
}

async function fileAlone(path: string, id: string): Promise<Variant> {
  const size = await measureSize(path, await loadModel(path))
  return {
    ...{ id, stage: 'file', from: null, file: path, ...size, macs: null },
    ...{ accuracy: null, retention: null, calibrationError: null, providers: {} },
  }
}

/** What the user says of how to measure; the rest is taken from the runs. */
export type Asked = Pick<BenchRequest, 'data' | 'task' | 'preprocess' | 'inputs'> & {
  readonly teacher?: string | undefined
}

/**
 * What has to be measured so that these models are compared on this machine, in turn, on the same samples: teacher, models,
 * and the data of the runs, where all of them have the same and none was given.
 *
 * A file that is gone or lies outside of its run's folder, and runs that do not agree, are a {@link UserError}.
 */
export async function measurable(
  texts: readonly string[],
  { teacher: asked, ...given }: Asked,
): Promise<Measurable> {
  const found = modelsNamed(texts)
  const runs = [...new Set(found.flatMap(({ run }) => run ?? []))]
  const ids = idsOf(found, runs.length > 1)
  const paths = found.map((each) =>
    each.path === undefined ? fileIn(each.run, each.variant) : each.path,
  )
  const teacher = asked ?? (await teacherOf(runs)) ?? paths[0]!
  // A teacher may come from the Hub as well. That of each run is the same file: it is measured once.
  const content = existsSync(teacher) ? await contentOf(teacher) : undefined
  const others: { readonly path: string; readonly name: string }[] = []
  for (const [index, path] of paths.entries())
    if ((await contentOf(path)) !== content) others.push({ path, name: ids[index]! })
  if (others.length === 0)
    throw new UserError(
      `--measure: ${texts.join(' ')} are the same file as the teacher — name another model`,
    )
  const names = others.map(({ name }) => name)
  return {
    ...{ teacher, names },
    name: namedTogether(names),
    models: others.map(({ path }) => path),
    ...(given.data === undefined && runs.length > 0 ? settingOf(runs) : {}),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  }
}

/** What `bench` is told. */
type Measurable = Pick<
  BenchRequest,
  'teacher' | 'models' | 'name' | 'names' | 'data' | 'task' | 'preprocess' | 'inputs' | 'seed'
>

/** The file of a variant, which has to lie in the folder of its run. */
function fileIn({ path, name, report }: ComparedRun, { id, file }: Variant): string {
  const folder = dirname(reportPath(path))
  const at = resolve(folder, file)
  const isWithin = (base: string, target: string) => {
    const way = relative(base, target)
    return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
  }
  if (!existsSync(at))
    throw new UserError(
      `${name}: the file of '${id}' is gone: '${file}' — run the recipe again, or leave out --measure`,
    )
  // Only recipes keep all of their files; what was measured without one lies where it lay.
  if (report.recipe !== undefined && !isWithin(realpathSync(folder), realpathSync(at)))
    throw new UserError(
      `${name}: the file of '${id}' lies outside of the run: '${file}' — name the ONNX file itself`,
    )
  return at
}

/** What a file computes, as a hash: each run notes its recipe in the metadata of its files. */
async function contentOf(path: string): Promise<string> {
  return sha256(serializeModel({ ...(await loadModel(path)), metadata: new Map() }))
}

/** The one teacher that all runs have; undefined without runs. */
async function teacherOf(runs: readonly ComparedRun[]): Promise<string | undefined> {
  const files = runs.map((run) => fileIn(run, run.report.teacher))
  const contents = new Set(await Promise.all(files.map(contentOf)))
  if (contents.size > 1)
    throw new UserError(
      `--measure: the runs have other teachers: ${runs.map(({ name }) => `'${name}'`).join(', ')} — say by --teacher with which to compare`,
    )
  return files[0]
}

/** Data, task and inputs that all runs were measured with. */
function settingOf(runs: readonly ComparedRun[]): Omit<Measurable, 'teacher' | 'models' | 'names'> {
  const [{ report: first }] = runs as [ComparedRun]
  const others = runs.filter(({ report }) => report.data.fingerprint !== first.data.fingerprint)
  const recipe = first.recipe as Recipe | undefined
  if (others.length > 0 || recipe?.data === undefined)
    throw new UserError(
      `--measure: ${others.length > 0 ? 'the runs were measured on other data' : `the report of '${runs[0]!.name}' does not say how its data is read`} — name the data by --data`,
    )
  const { data, preprocess, inputs } = recipe
  return {
    // Where the data has no test split of its own, the seed chooses it.
    ...{ data, task: taskOf(first), seed: first.seed },
    ...(preprocess !== undefined && { preprocess }),
    ...(inputs !== undefined && { inputs }),
  }
}

/** What of a recipe says where samples come from; `bench` checks it like any other. */
type Recipe = Pick<Asked, 'data' | 'preprocess' | 'inputs'>

/** The name is checked where the task is looked up. */
const taskOf = ({ task = 'classification' }: Report): TaskName => task as TaskName
