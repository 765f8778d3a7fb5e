// Opening the data of a recipe: found, read, split and made into records, once.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { UserError } from '../base/errors.ts'
import { hashOf } from '../base/hash.ts'
import type { InputSource, SampleColumn } from '../base/samples.ts'
import type { Dataset, Splits } from './dataset.ts'
import { defaultFeatures } from './default-features.ts'
import { expandTable } from './expand.ts'
import { type FeatureOptions, featureNamed } from './features/index.ts'
import { alignClasses } from './label-names.ts'
import { featureContext } from './learn.ts'
import { openModule } from './module.ts'
import { prepareTable } from './prepare.ts'
import type { PreparationContext, PreparationOptions, Prepared, PreparedSplit } from './prepared.ts'
import {
  findPrepared,
  keepPrepared,
  preparedFolder,
  preparedKey,
  stateOf,
} from './prepared-cache.ts'
import type { PreprocessOptions } from './preprocess.ts'
import { isFolder } from './readers/files.ts'
import { readerOf } from './readers/index.ts'
import { type ShowSamples, showing } from './shown.ts'
import { type DataFolders, type DataOptions, isModule, type Located, locate } from './sources.ts'
import { fileWriter, memoryWriter } from './store.ts'
import { storedDataset } from './stored-dataset.ts'
import type { Table } from './table.ts'
import type { TargetKind } from './targets.ts'
import { openUnlabelled, withUnlabelled } from './unlabelled.ts'

/** Size of the calibration split where nobody asks for more. */
export const defaultCalibration = 512

/** What is known of a data set that was opened. */
export interface DataFacts {
  /** What was asked for: the well-known name, or the path. */
  readonly source: string
  /** The tensors of a sample, after preprocessing. */
  readonly columns: readonly SampleColumn[]
  readonly classes: readonly string[]
  /** Numbers that are to be predicted of a sample besides its label. */
  readonly targetWidth: number
  /** What the features learned from the training split, by name: vocabularies, means. */
  readonly learned: Readonly<Record<string, unknown>>
  /** The features with all their options, by name. */
  readonly features: Readonly<Record<string, FeatureOptions>>
}

/** A data set that was read, and its splits. */
export interface OpenData {
  readonly splits: Splits
  readonly facts: DataFacts
  /** SHA-256 over all splits. */
  readonly fingerprint: string
  /** Shows people samples of the test split. */
  readonly show: ShowSamples
}

/** What data is opened for. */
export interface OpenOptions extends DataFolders {
  readonly seed: number
  /** What the task needs to know of each sample. */
  readonly target: TargetKind
  readonly preprocess: PreprocessOptions
  /** How models' inputs are mapped to columns. */
  readonly inputs?: Readonly<Record<string, InputSource>> | undefined
  /** Calibration samples at most. */
  readonly calibration?: number
  /** What is known of the model that the data is for. */
  readonly model?:
    | {
        /** Its folder, where its tokenizer may be. */
        readonly folder?: string | undefined
        /** What it calls its classes, in their order. */
        readonly classes?: readonly string[] | undefined
        /** The features that its own files ask for, by kind. */
        readonly features?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined
      }
    | undefined
  /** What prepared records depend on besides data and options: the version of the code. */
  readonly version: string
  /** Told what the user should know of the files. */
  readonly log: (line: string) => void
  /** Told what is done and how many samples went through. */
  readonly progress?: ((what: string, samples: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads a data set, splits it by seed and prepares its samples.
 *
 * What cannot be gone through for nothing is prepared once and kept in the cache, where it is found again as long as
 * names, sizes and times of the files, the options and the seed are the same. Everything wrong is a `UserError`.
 */
export async function openData(options: DataOptions, settings: OpenOptions): Promise<OpenData> {
  const { seed, target, calibration = defaultCalibration, log, model } = settings
  const module = options.source !== undefined && isModule(options.source)
  if (module) log(`${options.source}: the code of this module is run`)
  const located = module ? undefined : await locate(options, settings)
  const read = located
    ? await readerOf(located.format).open(located, located.options as Record<string, unknown>, {
        log,
      })
    : await openModule(options.source!)
  const table = await expandTable(read, options, { log })
  const columns = targetsOf(options, located)
  const features = options.features ?? defaultFeatures(table, columns, settings)
  const { unlabelled } = options
  const added = unlabelled && (await openUnlabelled(unlabelled, options, located, settings))
  const preparation: PreparationOptions = {
    seed,
    features,
    target: {
      kind: target,
      columns,
      scale: options.targetScale,
    },
    damaged: options.damaged,
    validation: options.validation,
    testShare: options.test.share,
    trainLimit: options.train.limit,
    testLimit: options.test.limit,
    calibration,
    modelFolder: model?.folder,
    folder: located && (await folderOf(located.path)),
    unlabelled: unlabelled && {
      limit: unlabelled.limit,
      damaged: unlabelled.damaged,
      folder: added?.located && (await folderOf(added.located.path)),
    },
  }
  const whole = added ? withUnlabelled(table, added.table, preparation) : table
  const prepared = await prepareOnce(
    whole,
    [located, added?.located],
    options,
    preparation,
    settings,
  )
  const tested = prepared.splits.test
  const show = showing({
    part: tested.part === 'test' && whole.test ? whole.test : whole.train,
    rows: tested.indices,
    features,
    learned: prepared.learned,
    context: featureContext(whole, preparation),
  })
  return { ...opened(prepared, features, settings, located?.source ?? options.source!), show }
}

const targetsOf = ({ target }: DataOptions, located: Located | undefined): readonly string[] => {
  const named = target ?? located?.target
  return named === undefined ? [] : typeof named === 'string' ? [named] : named
}

/** Prepares in memory what costs nothing, and otherwise in the cache. */
async function prepareOnce(
  table: Table,
  [located, added]: readonly (Located | undefined)[],
  options: DataOptions,
  preparation: PreparationOptions,
  { cacheFolder, version, log, progress, signal, model }: OpenOptions,
): Promise<Prepared> {
  const context = (write: PreparationContext['write']): PreparationContext => ({
    write,
    log,
    progress,
    signal,
  })
  if (table.inMemory)
    return await prepareTable(
      table,
      preparation,
      context((_part, layout, size) => memoryWriter(layout, table.train.where, size)),
    )
  const key = preparedKey([
    version,
    located && located.path !== '' ? await stateOf(located.path) : options.source,
    located?.testPath === undefined ? null : await stateOf(located.testPath),
    located?.path ?? null,
    await filesOf(table, preparation),
    options,
    preparation,
    model ?? null,
    ...(added ? [added.path, added.path === '' ? null : await stateOf(added.path)] : []),
  ])
  const folder = join(preparedFolder(cacheFolder), key)
  // What a module gives may change while the module stays the same.
  const isModules = !located || (options.unlabelled !== undefined && !added)
  const found = isModules ? undefined : await findPrepared(folder)
  if (found) {
    for (const note of found.notes) log(note)
    return found
  }
  return await keepPrepared(folder, (pathOf) =>
    prepareTable(
      table,
      preparation,
      context((part, layout) => fileWriter(layout, pathOf(part))),
    ),
  )
}

/** The folder that paths in a table's cells are relative to. */
async function folderOf(path: string): Promise<string | undefined> {
  if (path === '') return undefined
  return (await isFolder(path)) ? path : dirname(path)
}

/** The state of the files that features read besides the table, as a tokenizer. */
async function filesOf(table: Table, options: PreparationOptions): Promise<readonly string[]> {
  const context = featureContext(table, options)
  const states: string[] = []
  for (const feature of Object.values(options.features))
    for (const path of featureNamed(feature.kind).files?.(feature, context) ?? [])
      states.push(path, existsSync(path) ? await stateOf(path) : '')
  return states
}

function opened(
  prepared: Prepared,
  features: Readonly<Record<string, FeatureOptions>>,
  { preprocess, inputs, model, log }: OpenOptions,
  source: string,
): Omit<OpenData, 'show'> {
  const { classes, order } = alignClasses(prepared.classes, model?.classes, source, log)
  const datasetOf = ({ part, indices }: PreparedSplit): Dataset => {
    const { store, labels, group } = prepared.parts[part]!
    return storedDataset({
      ...{ source, store, indices, classes, group, preprocess, inputs },
      labels: Int32Array.from(indices, (index) =>
        part === 'unlabelled' ? -1 : prepared.targetClasses ? 0 : (order[labels[index]!] ?? 0),
      ),
      targetNames: prepared.targetNames,
      ...(prepared.targetClasses &&
        part !== 'unlabelled' && {
          targetClasses: { form: prepared.targetClasses, order, count: classes.length },
        }),
    })
  }
  const { train, validation, calibration, test, unlabelled } = prepared.splits
  const splits: Splits = {
    train: datasetOf(train),
    validation: datasetOf(validation),
    calibration: datasetOf(calibration),
    test: datasetOf(test),
    ...(unlabelled && { unlabelled: datasetOf(unlabelled) }),
  }
  for (const [name, { size }] of Object.entries(splits))
    if (size === 0)
      throw new UserError(`data: no sample is left for ${name} — use more data, or other limits`)
  return {
    splits,
    facts: {
      source,
      columns: splits.train.columns,
      classes,
      targetWidth: splits.train.targetWidth,
      learned: prepared.learned,
      features,
    },
    fingerprint: hashOf(Object.values(splits).map((part) => part.fingerprint)),
  }
}
