// The `data` section of a recipe: its schema, the well-known data sets, and where each is
// looked for.
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { preprocessOptions } from './preprocess.ts'
import { digitsFolder } from './readers/digits.ts'
import { isFolder } from './readers/files.ts'
import { type FileFormat, type Format, fileReaders } from './readers/index.ts'
import type { Place } from './readers/reader.ts'

interface Source {
  readonly format: Format
  /**
   * Name of its folder in `$CONDENSE_DATA` and in the cache; a data set without one is a package.
   */
  readonly folder?: string
  readonly classes?: readonly string[]
}

/** Well-known data sets by name. */
export const sources = {
  digits: { format: 'digits' },
  mnist: {
    format: 'idx',
    folder: 'mnist',
    classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  },
  'fashion-mnist': {
    format: 'idx',
    folder: 'fashion-mnist',
    classes: [
      ...['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat'],
      ...['Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'],
    ],
  },
  cifar10: { format: 'cifar', folder: 'cifar-10' },
} satisfies Record<string, Source>

/** Name of a well-known data set. */
export type SourceName = keyof typeof sources

const limit = (what: string) =>
  z.strictObject({ limit: z.int().min(1).optional().describe(what) }).prefault({})

/** Schema of the recipe's `data` section: a well-known `source`, or a `format` with its `path`. */
export const dataOptions = z
  .strictObject({
    source: z
      .enum(Object.keys(sources) as [SourceName, ...SourceName[]])
      .optional()
      .describe('A well-known data set; all but digits are looked for in $CONDENSE_DATA.'),
    format: z
      .enum(Object.keys(fileReaders) as [FileFormat, ...FileFormat[]])
      .optional()
      .describe('How the files at path are written: idx as MNIST, cifar as CIFAR-10 in binary.'),
    path: z.string().min(1).optional().describe('The folder of the files of that format.'),
    preprocess: preprocessOptions.prefault({}),
    train: limit('At most so many training samples, chosen by seed.').describe(
      'The training part, of which validation is held out.',
    ),
    test: limit('At most so many test samples, the first ones.').describe(
      'The test part, which benchmarks alone touch.',
    ),
    validation: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.1)
      .describe('Share of the training data held out by seed for validation.'),
  })
  .superRefine((data, context) => {
    const complain = (message: string, ...path: string[]) =>
      context.addIssue({ code: 'custom', message, path })
    const { source, format, path } = data
    if (source !== undefined && format !== undefined)
      complain(`give either 'source' or 'format' with 'path', not both`, 'format')
    else if (source !== undefined && path !== undefined)
      complain(`goes with 'format', not with 'source'`, 'path')
    else if (source === undefined && format === undefined)
      complain(`give a 'source' (${Object.keys(sources).join(', ')}) or a 'format' with a 'path'`)
    else if (format !== undefined && path === undefined)
      complain(`format '${format}' needs the 'path' of its folder`, 'path')
  })
  .meta({ oneOf: [{ required: ['source'] }, { required: ['format', 'path'] }] })
  .describe('The data: a well-known set, or files of a format.')

/** Resolved options of the `data` section. */
export type DataOptions = z.output<typeof dataOptions>

/** Where data sets are looked for. */
export interface DataFolders {
  /** Condense's cache folder. */
  readonly cacheFolder: string
  /** The user's own folder of data sets, by default `$CONDENSE_DATA`. */
  readonly dataFolder?: string | undefined
}

/** A data set that was found. */
export interface Located extends Place {
  /** What was asked for: the well-known name, or the path. */
  readonly source: string
  readonly format: Format
}

/**
 * Finds the folder of the data set; a {@link UserError} says where it was looked for and what to
 * do.
 */
export async function locate(
  { source, format, path }: Pick<DataOptions, 'source' | 'format' | 'path'>,
  { cacheFolder, dataFolder = process.env.CONDENSE_DATA }: DataFolders,
): Promise<Located> {
  if (format !== undefined && path !== undefined) {
    const folder = resolve(path)
    if (!(await isFolder(folder)))
      throw new UserError(`data.path: no such folder: '${folder}' — check the path`)
    return { source: path, format, folder }
  }
  if (source === undefined) throw new Error('internal: data has neither source nor path')
  const known: Source = sources[source]
  if (known.folder === undefined) return { ...known, source, folder: digitsFolder() }
  const candidates = [
    ...(dataFolder ? [resolve(dataFolder, known.folder)] : []),
    join(cacheFolder, 'data', known.folder),
  ]
  for (const folder of candidates) if (await isFolder(folder)) return { ...known, source, folder }
  throw new UserError(
    `data.source: '${source}' was not found: looked in ${candidates.join(' and ')} — put its ${known.format.toUpperCase()} files there, or set CONDENSE_DATA to the folder that holds '${known.folder}'`,
  )
}
