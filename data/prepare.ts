// From a table to prepared records: labels are found, the training data is split, features learn from the training
// split alone, and every row becomes one record.
import { throwIfAborted, UserError } from '../base/errors.ts'
import { DamagedError } from './damaged.ts'
import type { Encoder, FeatureContext } from './features/feature.ts'
import { type FeatureOptions, featureNamed } from './features/index.ts'
import { holdOut, type SplitIndices, splitIndices } from './splits.ts'
import { layOut, type Store, type StoreWriter, viewsOf } from './store.ts'
import { targetColumn } from './stored-dataset.ts'
import type { Part, Row, Table } from './table.ts'
import { readTargets, type TargetOptions, type Targets, targetNames } from './targets.ts'

/** What is made of a table. */
export interface PreparationOptions {
  readonly seed: number
  /** The features by name. */
  readonly features: Readonly<Record<string, FeatureOptions>>
  readonly target: TargetOptions
  /** What becomes of a row that cannot be read. */
  readonly damaged: 'refuse' | 'skip'
  /** Share of the training part held out for validation where the table has no such part. */
  readonly validation: number
  /** Share of the training part held out for tests where the table has no such part. */
  readonly testShare: number
  readonly trainLimit?: number | undefined
  readonly testLimit?: number | undefined
  readonly calibration: number
  readonly modelFolder?: string | undefined
  /** The folder that paths in cells are relative to. */
  readonly folder?: string | undefined
}

/** What preparation may use of the world. */
export interface PreparationContext {
  /** Opens the records of a part. */
  readonly write: (part: PartName, layout: ReturnType<typeof layOut>, size?: number) => StoreWriter
  readonly log: (line: string) => void
  readonly progress?: ((what: string, rows: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The parts of a table. */
export type PartName = 'train' | 'validation' | 'test'

/** The records of a part. */
export interface PreparedPart {
  readonly store: Store
  /** The label of every record. */
  readonly labels: Int32Array
  readonly group: number
}

/** Which records of which part a split has. */
export interface PreparedSplit {
  readonly part: PartName
  readonly indices: Uint32Array
}

/** A table made into records. */
export interface Prepared {
  readonly parts: Readonly<Partial<Record<PartName, PreparedPart>>>
  readonly splits: Readonly<Record<keyof SplitIndices | 'test', PreparedSplit>>
  readonly classes: readonly string[]
  readonly targetNames: readonly string[]
  /** What the target numbers of a sample are where they are about classes. */
  readonly targetClasses: 'positions' | 'indicators' | null
  /** What each feature learned, by its name; what learned nothing is not here. */
  readonly learned: Readonly<Record<string, unknown>>
  /** What was logged: it is to be told again whenever the records are used. */
  readonly notes: readonly string[]
}

/** Goes through a table as often as needed and makes records of its rows. */
export async function prepareTable(
  table: Table,
  options: PreparationOptions,
  context: PreparationContext,
): Promise<Prepared> {
  const { target } = options
  const notes: string[] = []
  const note = (line: string) => {
    notes.push(line)
    context.log(line)
  }
  const targets = await readTargets(table, target)
  const labels = await labelsOf(table.train, targets, context)
  const group = table.train.group ?? 1
  const everything = Uint32Array.from(labels.keys())
  if (everything.length === 0)
    throw new UserError(`${table.train.where}: holds no samples — check the file`)
  const { test, rest } = table.test
    ? { test: undefined, rest: everything }
    : held(table, labels, options, group)
  const split = splitIndices(labels, rest, {
    seed: options.seed,
    validation: table.validation ? undefined : options.validation,
    calibration: options.calibration,
    limit: options.trainLimit,
    group,
  })
  const { encoders, names, learned } = await readyFeatures(table, split.train, options, context)
  const encode = (name: PartName, part: Part | undefined) =>
    part &&
    encodePart(
      name,
      part,
      { names, encoders, targets, damaged: options.damaged },
      { ...context, log: note },
    )
  const [train, validation, tested] = [
    await encode('train', table.train),
    await encode('validation', table.validation),
    await encode('test', table.test),
  ]
  const whole = ({ skipped }: Encoded, indices: Uint32Array) =>
    skipped.size === 0 ? indices : indices.filter((index) => !skipped.has(index))
  const all = (part: Encoded) => whole(part, Uint32Array.from(part.labels.keys()))
  const testIndices = tested ? all(tested) : whole(train!, test!)
  const { group: tests } = tested ?? train!
  const { testLimit } = options
  // What belongs together is whole or it is nothing.
  const limited = testIndices.subarray(
    0,
    testLimit && Math.max(tests, testLimit - (testLimit % tests)),
  )
  const trained = whole(train!, split.train)
  const { classes } = targets
  if (target.kind === 'class') {
    if (classes.length === 1)
      note(
        `data: there is one class alone: '${classes[0]}' — any model is right, which says nothing`,
      )
    noteAbsent('training', classes, train!, trained, note)
    noteAbsent('test', classes, tested ?? train!, limited, note)
  }
  return {
    parts: {
      train: keptOf(train!),
      ...(validation && { validation: keptOf(validation) }),
      ...(tested && { test: keptOf(tested) }),
    },
    splits: {
      train: { part: 'train', indices: trained },
      calibration: { part: 'train', indices: whole(train!, split.calibration) },
      validation: validation
        ? { part: 'validation', indices: all(validation) }
        : { part: 'train', indices: whole(train!, split.validation) },
      test: { part: tested ? 'test' : 'train', indices: limited },
    },
    classes,
    targetNames: targets.names,
    targetClasses:
      target.kind === 'tags' ? 'positions' : target.kind === 'classes' ? 'indicators' : null,
    ...{ learned, notes },
  }
}

/** Says which classes no sample of a split has: they cannot be learned there, or are not measured. */
function noteAbsent(
  split: string,
  classes: readonly string[],
  { labels }: PreparedPart,
  indices: Uint32Array,
  note: (line: string) => void,
): void {
  const present = new Set(Array.from(indices, (index) => labels[index]!))
  const absent = classes.filter((_, index) => !present.has(index))
  if (absent.length === 0) return
  const named = absent.slice(0, mostNamed).map((name) => `'${name}'`)
  if (absent.length > mostNamed) named.push('…')
  note(
    `data: classes without a sample in the ${split} split: ${absent.length} of ${classes.length}: ${named.join(', ')}`,
  )
}

const mostNamed = 5

function held(table: Table, labels: Int32Array, options: PreparationOptions, group: number) {
  if (labels.length < 3 * group)
    throw new UserError(
      `${table.train.where}: too few samples for training, validation and test: ${labels.length} — use more data, or name a test part`,
    )
  return holdOut(labels, options.testShare, group)
}

/** The label of every row; rows whose label cannot be told are looked at again when they are encoded. */
async function labelsOf(
  part: Part,
  targets: Targets,
  { progress, signal }: PreparationContext,
): Promise<Int32Array> {
  let labels = new Int32Array(part.size ?? 1024)
  let rows = 0
  for await (const row of part.rows()) {
    if (rows === labels.length) {
      const larger = new Int32Array(rows * 2)
      larger.set(labels)
      labels = larger
    }
    labels[rows++] = labelOf(targets, row)
    if (rows % reportEvery === 0) {
      throwIfAborted(signal)
      progress?.('labels', reportEvery)
    }
  }
  return labels.slice(0, rows)
}

const reportEvery = 256

function labelOf(targets: Targets, row: Row): number {
  try {
    return targets.label(row)
  } catch (thrown) {
    if (thrown instanceof UserError) return 0
    throw thrown
  }
}

/** What features are told of a table. */
export const featureContext = (
  table: Table,
  { target, modelFolder, folder }: PreparationOptions,
): FeatureContext => ({
  columns: table.columns,
  targets: targetNames(table, target),
  modelFolder,
  folder,
})

async function readyFeatures(
  table: Table,
  train: Uint32Array,
  options: PreparationOptions,
  { signal, progress }: PreparationContext,
) {
  const { features, damaged } = options
  const context = featureContext(table, options)
  const entries = Object.entries(features)
  const learners = []
  for (const [name, options] of entries) {
    const feature = featureNamed(options.kind)
    feature.columns(options, context)
    const learner = await feature.learn?.(options, context)
    if (learner) learners.push({ name, learner })
  }
  const learned = new Map<string, unknown>()
  if (learners.length > 0) {
    const chosen = new Set(train)
    let number = 0
    for await (const row of table.train.rows()) {
      if (chosen.has(number))
        for (const { learner } of learners)
          await atRow(table.train, number, damaged, () => learner.observe(row))
      if (++number % reportEvery === 0) {
        throwIfAborted(signal)
        progress?.('learning', reportEvery)
      }
    }
    for (const { name, learner } of learners) learned.set(name, learner.finish())
  }
  const encoders: Encoder[] = []
  for (const [name, options] of entries)
    encoders.push(
      await featureNamed(options.kind).prepare(options, learned.get(name) ?? null, context),
    )
  return { encoders, names: entries.map(([name]) => name), learned: Object.fromEntries(learned) }
}

/** Does something with a row; what is wrong with it is told with its place, or skipped. True where it was done. */
async function atRow(
  part: Part,
  row: number,
  damaged: 'refuse' | 'skip',
  use: () => void | Promise<void>,
): Promise<boolean> {
  try {
    // Most features are done at once; waiting for each would cost more than they do.
    const waiting = use()
    if (waiting) await waiting
    return true
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown
    if (damaged === 'skip' && thrown instanceof DamagedError) return false
    // A file of the row's own says more.
    if (thrown.message.startsWith(part.where)) throw thrown
    const where = part.whereOf?.(row) ?? `${part.where}: row ${row + 1}`
    throw new UserError(`${where}: ${thrown.message}`, { cause: thrown })
  }
}

const keptOf = ({ skipped: _, ...part }: Encoded): PreparedPart => part

interface Encoded extends PreparedPart {
  /** Records of rows that could not be read. */
  readonly skipped: ReadonlySet<number>
}

async function encodePart(
  name: PartName,
  part: Part,
  {
    names,
    encoders,
    targets,
    damaged,
  }: {
    readonly names: readonly string[]
    readonly encoders: readonly Encoder[]
    readonly targets: Targets
    readonly damaged: 'refuse' | 'skip'
  },
  { write, log, progress, signal }: PreparationContext,
): Promise<Encoded> {
  const numbers = targets.numbers(encoders)
  const layout = layOut([
    ...encoders.flatMap(({ outputs }, index) =>
      outputs.map(({ suffix, dtype, shape, ids }) => ({
        name: suffix === '' ? names[index]! : `${names[index]}.${suffix}`,
        dtype,
        shape,
        ...(ids !== undefined && { ids }),
      })),
    ),
    ...(numbers.width > 0
      ? [{ name: targetColumn, dtype: 'float32' as const, shape: [numbers.width] }]
      : []),
  ])
  const writer = write(name, layout, part.size)
  const views = viewsOf(layout, writer.record)
  const target = views.at(-1) as Float32Array // the last one, where the width is above 0
  let at = 0
  const memories = encoders.map(({ outputs }) => {
    const memory = views.slice(at, at + outputs.length)
    at += outputs.length
    return memory
  })
  const labels: number[] = []
  const skipped = new Set<number>()
  const { group = 1 } = part
  try {
    let row = 0
    for await (const cells of part.rows()) {
      const number = row
      const done = await atRow(part, number, damaged, async () => {
        labels[number] = targets.label(cells)
        if (numbers.width > 0) numbers.encode(cells, target)
        for (const [index, encoder] of encoders.entries()) {
          const waiting = encoder.encode(cells, memories[index]!)
          if (waiting) await waiting
        }
      })
      if (!done) {
        writer.record.fill(0)
        labels[number] = 0
        // What belongs together is whole or it is nothing.
        const first = number - (number % group)
        for (let member = first; member < first + group; member++) skipped.add(member)
      }
      writer.next()
      if (++row % reportEvery === 0) {
        throwIfAborted(signal)
        progress?.(name, reportEvery)
      }
    }
    const store = writer.finish()
    if (store.size === 0) throw new UserError(`${part.where}: holds no samples — check the file`)
    if (skipped.size === store.size)
      throw new UserError(
        `${part.where}: none of the ${store.size} samples can be read — use damaged: refuse to see why`,
      )
    if (skipped.size > 0)
      log(`${part.where}: ${skipped.size} of ${store.size} samples are damaged and left out`)
    return { store, labels: Int32Array.from(labels), group, skipped }
  } catch (thrown) {
    writer.abandon()
    throw thrown
  }
}
