// From a table to prepared records: labels are found, the training data is split, features learn from the training
// split alone, and every row becomes one record.
import { UserError } from '../base/errors.ts'
import { random } from '../base/random.ts'
import { type Encoded, encodePart } from './encode.ts'
import { encodersOf, featureContext, type ReadyFeatures, readyFeatures } from './learn.ts'
import type {
  PartName,
  PreparationContext,
  PreparationOptions,
  Prepared,
  PreparedPart,
} from './prepared.ts'
import { eachRow } from './rows.ts'
import { holdOut, splitIndices } from './splits.ts'
import type { Part, Row, Table } from './table.ts'
import { readTargets, type Targets } from './targets.ts'

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
  const ready = await readyFeatures(table, split.train, options, context)
  const { encoders, names, learned } = ready
  const noted = { ...context, log: note }
  const encode = (name: PartName, part: Part | undefined) =>
    part && encodePart(name, part, { names, encoders, targets, damaged: options.damaged }, noted)
  const [train, validation, tested] = [
    await encode('train', table.train),
    await encode('validation', table.validation),
    await encode('test', table.test),
  ]
  const added = table.unlabelled && (await encodeUnlabelled(table, options, ready, noted))
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
  const extra = added ? someOf(all(added), added.group, options) : new Uint32Array()
  if (added) note(`data.unlabelled: ${extra.length} samples from ${table.unlabelled!.where}`)
  const { classes } = targets
  if (target.kind === 'class') {
    if (classes.length === 1)
      note(
        `data: there is one class alone: '${classes[0]}' — any model is right, which says nothing`,
      )
    noteOdd(classes, note)
    noteAbsent('training', classes, train!, trained, note)
    noteAbsent('test', classes, tested ?? train!, limited, note)
  }
  return {
    parts: {
      train: keptOf(train!),
      ...(validation && { validation: keptOf(validation) }),
      ...(tested && { test: keptOf(tested) }),
      ...(added && { unlabelled: keptOf(added) }),
    },
    splits: {
      train: { part: 'train', indices: trained },
      calibration: { part: 'train', indices: whole(train!, split.calibration) },
      validation: validation
        ? { part: 'validation', indices: all(validation) }
        : { part: 'train', indices: whole(train!, split.validation) },
      test: { part: tested ? 'test' : 'train', indices: limited },
      ...(added && {
        unlabelled: { part: 'unlabelled', indices: extra },
      }),
    },
    classes,
    targetNames: targets.names,
    targetClasses:
      target.kind === 'tags' ? 'positions' : target.kind === 'classes' ? 'indicators' : null,
    ...{ learned, notes },
  }
}

/** Makes records of rows without labels, with what the features learned from the others. */
async function encodeUnlabelled(
  table: Table,
  options: PreparationOptions,
  { names, learned }: ReadyFeatures,
  context: PreparationContext,
): Promise<Encoded> {
  const { damaged = options.damaged, folder } = options.unlabelled ?? {}
  const encoders = await encodersOf(options.features, new Map(Object.entries(learned)), {
    ...featureContext(table, options),
    folder,
  })
  const targets = await readTargets(table, { kind: 'none', columns: [], scale: 1 })
  const added = await encodePart(
    'unlabelled',
    table.unlabelled!,
    { names, encoders, targets, damaged },
    context,
  )
  return { ...added, labels: added.labels.fill(-1) }
}

/** As many of the samples as are wanted, chosen by seed, in their order; whole groups of them. */
function someOf(
  indices: Uint32Array,
  group: number,
  { unlabelled, seed }: PreparationOptions,
): Uint32Array {
  const limit = unlabelled?.limit
  if (limit === undefined || limit >= indices.length) return indices
  const chosen = random(seed, 'data', 'unlabelled')
    .permutation(indices.length / group)
    .subarray(0, Math.max(1, Math.floor(limit / group)))
    .sort()
  return Uint32Array.from(
    { length: chosen.length * group },
    (_, place) => indices[chosen[Math.floor(place / group)]! * group + (place % group)]!,
  )
}

/** Says which labels are odd ones among the numbers of classes; -1 often means that there is none. */
function noteOdd(classes: readonly string[], note: (line: string) => void): void {
  const odd = classes.filter((name) => !/^\d+$/.test(name))
  if (odd.length === 0 || odd.length >= classes.length / 2) return
  if (!odd.every((name) => Number.isFinite(Number(name)))) return
  note(
    `data: labels that are not whole numbers from 0 are classes of their own: ${odd.map((name) => `'${name}'`).join(', ')} — correct them, or leave the samples out`,
  )
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
  context: PreparationContext,
): Promise<Int32Array> {
  let labels = new Int32Array(part.size ?? 1024)
  const rows = await eachRow(part, 'labels', context, (row, number) => {
    if (number === labels.length) {
      const larger = new Int32Array(Math.max(1, number * 2))
      larger.set(labels)
      labels = larger
    }
    labels[number] = labelOf(targets, row)
  })
  return labels.slice(0, rows)
}

function labelOf(targets: Targets, row: Row): number {
  try {
    return targets.label(row)
  } catch (thrown) {
    if (thrown instanceof UserError) return 0
    throw thrown
  }
}

const keptOf = ({ skipped: _, ...part }: Encoded): PreparedPart => part
