// The `data` section of a recipe: its schema, the well-known data sets, and where each is
// looked for.
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { UserError } from '../base/errors.ts'
import { explainFileError } from '../base/files.ts'
import { isArchive } from './archives.ts'
import { type DownloadName, downloads, ensureDownloaded } from './downloads.ts'
import { expandOptions } from './expand.ts'
import { extracted, soleEntry } from './extracted.ts'
import { featureOptions } from './features/index.ts'
import { digitsFolder } from './readers/digits.ts'
import { isFolder, listFolder } from './readers/files.ts'
import { type Format, readers } from './readers/index.ts'
import type { Place } from './readers/reader.ts'

interface Source {
  readonly format: Format
  /** Options of the format. */
  readonly options?: object
  /**
   * Name of its folder in `$CONDENSE_DATA` and in the cache; a data set without one is a package.
   */
  readonly folder?: string
  readonly classes?: readonly string[]
  /** The column to be predicted, where the format does not tell. */
  readonly target?: string
  /** The folder with the files, where they are not at the top. */
  readonly inside?: string
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
  cifar100: { format: 'cifar', folder: 'cifar-100' },
  fsdd: {
    format: 'wav',
    folder: 'fsdd',
    // The test set of its authors: the first five recordings of every speaker and digit.
    options: {
      pattern: String.raw`(?<label>\d)_(?<speaker>\w+)_(?<index>\d+)\.wav`,
      testWhen: { group: 'index', in: ['0', '1', '2', '3', '4'] },
    },
  },
  banking77: { format: 'csv', folder: 'banking77', target: 'category' },
} satisfies Record<string, Source>

/** Name of a well-known data set. */
export type SourceName = keyof typeof sources

const limit = z.int().min(1).optional()

/** The formats that a recipe may name. */
const formats = Object.keys(readers).filter((name) => name !== 'digits') as [Format, ...Format[]]

/** Formats that have options of their own. */
type Optioned = {
  [Name in Format]: keyof (typeof readers)[Name]['options']['shape'] extends never ? never : Name
}[Format]

/** The options of each format that has some, under its name. */
const formatOptions = Object.fromEntries(
  formats
    .filter((name) => Object.keys(readers[name].options.shape).length > 0)
    .map((name) => [
      name,
      readers[name].options
        .optional()
        .describe(`Options of this format. ${readers[name].summary}.`),
    ]),
  // The loss of names is fromEntries' own.
) as unknown as { [Name in Optioned]: z.ZodOptional<(typeof readers)[Name]['options']> }

/** The options that say which files are read, and how they are written. */
const filesOptions = {
  source: z
    .string()
    .min(1)
    .optional()
    .describe(
      `A well-known data set (${Object.keys(sources).join(', ')}), or the path of a module of your own that ends in .js or .mjs.`,
    ),
  download: z
    .boolean()
    .default(true)
    .describe('Whether a well-known set that is not here may be downloaded.'),
  format: z.enum(formats).optional().describe('How the files at path are written.'),
  path: z
    .string()
    .min(1)
    .optional()
    .describe('The file, folder or archive of that format; looked for in $CONDENSE_DATA too.'),
  ...formatOptions,
} as const

/** What such options say of the files. */
type FilesOptions = z.output<z.ZodObject<typeof filesOptions>>

/** What JSON Schema can say of {@link checkFiles}. */
const oneOf = [{ required: ['source'] }, { required: ['format'] }]

/** Finds what does not go together in options that say which files are read. */
function checkFiles(files: FilesOptions, context: z.core.$RefinementCtx): void {
  const complain = (message: string, ...path: string[]) =>
    context.addIssue({ code: 'custom', message, path })
  const { source, format, path } = files
  const known = Object.keys(sources).join(', ')
  if (source !== undefined && format !== undefined)
    complain(`give either 'source' or 'format' with 'path', not both`, 'format')
  else if (source !== undefined && path !== undefined)
    complain(`goes with 'format', not with 'source'`, 'path')
  else if (source === undefined && format === undefined)
    complain(`give a 'source' (${known}) or a 'format' with a 'path'`)
  else if (format !== undefined && path === undefined && !pathless.has(format))
    complain(`format '${format}' needs the 'path' of its files`, 'path')
  else if (source !== undefined && !Object.hasOwn(sources, source) && !isModule(source))
    context.addIssue({
      code: 'invalid_value',
      values: [...Object.keys(sources), './my-data.mjs'],
      input: source,
      path: ['source'],
    })
  const stray = Object.keys(formatOptions).find(
    (name) => name !== format && files[name as Optioned] !== undefined,
  )
  if (stray !== undefined) complain(`goes with format '${stray}' alone`, stray)
}

/** What becomes of samples that cannot be read. */
const damaged = z
  .enum(['refuse', 'skip'])
  .default('refuse')
  .describe('What becomes of samples that cannot be read: an error, or left out and counted.')

/** Schema of the samples without labels. */
const unlabelledOptions = z
  .strictObject({
    ...filesOptions,
    damaged,
    limit: limit.describe('At most so many samples, chosen by seed.'),
  })
  .superRefine(checkFiles)
  .meta({ oneOf })
  .describe(
    'Further samples whose labels are not known or not looked at, for stages that are told to use them: the training part of these files, with the columns that the features read.',
  )

/** Resolved options of the samples without labels. */
export type UnlabelledFiles = z.output<typeof unlabelledOptions>

/** Schema of the recipe's `data` section: a well-known `source`, a module of one's own, or a `format` with its `path`. */
export const dataOptions = z
  .strictObject({
    ...filesOptions,
    ...expandOptions.shape,
    features: z
      .record(
        z.string().regex(/^[A-Za-z_][\w-]*$/, 'expected a name of letters and digits'),
        featureOptions,
      )
      .optional()
      .describe('What becomes of the columns: tensors by name; by format unless given.'),
    target: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('The column, or columns, to be predicted; the one of the format unless given.'),
    targetScale: z
      .number()
      .positive()
      .default(1)
      .describe('Values to be predicted are divided by this.'),
    damaged,
    train: z
      .strictObject({ limit: limit.describe('At most so many samples, chosen by seed.') })
      .prefault({})
      .describe('The training part, of which validation is held out.'),
    test: z
      .strictObject({
        path: z.string().min(1).optional().describe('The file or folder of the test part.'),
        share: z
          .number()
          .gt(0)
          .lt(1)
          .default(0.2)
          .describe('Share held out for tests where the data has no test part.'),
        limit: limit.describe('At most so many samples, the first ones.'),
      })
      .prefault({})
      .describe('The test part, which benchmarks alone touch.'),
    validation: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.1)
      .describe('Share of the training data held out by seed for validation.'),
    unlabelled: unlabelledOptions.optional(),
  })
  .superRefine(checkFiles)
  .superRefine(({ interactions, unlabelled }, context) => {
    if (interactions && unlabelled)
      context.addIssue({
        code: 'custom',
        message: 'interactions have no samples without labels — leave it out',
        path: ['unlabelled'],
      })
  })
  .meta({ oneOf })
  .describe('The data: a well-known set, a module of your own, or files of a format.')

/** Resolved options of the `data` section. */
export type DataOptions = z.output<typeof dataOptions>

/** Formats that make their data themselves. */
const pathless: ReadonlySet<Format> = new Set<Format>(['generated-interactions'])

/** Whether a source is a module of the user's own. */
export const isModule = (source: string): boolean => /\.m?js$/.test(source)

/** Where data sets are looked for, and what may be used to get them. */
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
  /** Options of the format. */
  readonly options: object
  /** The column to be predicted, where the set is known. */
  readonly target?: string
}

/** How data is got. */
export interface LocateOptions extends DataFolders {
  /** What messages call the options: `data` unless told. */
  readonly section?: string
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Finds the files of the data set, downloading and unpacking them where that is needed; a {@link UserError} says where
 * they were looked for and what to do.
 */
export async function locate(
  options: FilesOptions & Partial<Pick<DataOptions, 'test'>>,
  folders: LocateOptions,
): Promise<Located> {
  const { source, format, path, test } = options
  const { section = 'data' } = folders
  const testPath = test?.path === undefined ? undefined : await unpacked(test.path, folders)
  const own = (name: Format) =>
    readers[name].options.parse((options as Record<string, unknown>)[name] ?? {})
  if (format !== undefined)
    return {
      source: path ?? format,
      format,
      path: path === undefined ? '' : await unpacked(path, folders),
      testPath,
      options: own(format),
    }
  if (source === undefined) throw new Error('internal: data has neither source nor path')
  const known: Source = sources[source as SourceName]
  const found = {
    ...known,
    source,
    options: readers[known.format].options.parse(known.options ?? {}),
  }
  const folder = await findSource(source as SourceName, folders)
  if (folder !== undefined) return { ...found, path: await contentOf(folder, known, folders) }
  if (source in downloads && options.download) {
    const { cacheFolder, log, signal } = folders
    const fresh = await ensureDownloaded(source as DownloadName, cacheFolder, { log, signal })
    return { ...found, path: await contentOf(fresh, known, folders) }
  }
  throw new UserError(
    `${section}.source: '${source}' was not found: looked in ${placesOf(known, folders).join(' and ')} — put its files there, set CONDENSE_DATA to the folder that holds '${known.folder}', or let it be downloaded`,
  )
}

/** The folder that a well-known set is in; undefined where it is nowhere. */
export async function findSource(
  name: SourceName,
  folders: DataFolders,
): Promise<string | undefined> {
  const known: Source = sources[name]
  if (known.folder === undefined) return digitsFolder()
  for (const folder of placesOf(known, folders)) if (await isFolder(folder)) return folder
  return undefined
}

/** Where a set is looked for, the user's own folder first. */
const placesOf = (
  { folder = '' }: Source,
  { cacheFolder, dataFolder = process.env.CONDENSE_DATA }: DataFolders,
): string[] => [
  ...(dataFolder ? [resolve(dataFolder, folder)] : []),
  join(cacheFolder, 'data', folder),
]

/** A folder with one archive in it stands for what the archive holds. */
async function contentOf(folder: string, known: Source, folders: LocateOptions): Promise<string> {
  const archives = (await listFolder(folder)).filter(isArchive)
  const [only] = archives
  const content =
    only !== undefined && archives.length === 1
      ? await unpacked(join(folder, only), folders)
      : folder
  const inside = known.inside === undefined ? undefined : join(content, known.inside)
  return inside !== undefined && (await isFolder(inside)) ? inside : content
}

/** The folder of an archive's content; any other path as it is. */
async function unpacked(path: string, folders: LocateOptions): Promise<string> {
  const full = await existing(path, folders)
  if (!isArchive(full)) return full
  const { cacheFolder, signal } = folders
  return await soleEntry(await extracted(full, cacheFolder, { signal }))
}

async function existing(path: string, { section = 'data' }: LocateOptions): Promise<string> {
  const full = resolve(path)
  try {
    await stat(full)
    return full
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw explainFileError(full, thrown)
    throw new UserError(`${section}.path: no such file or folder: '${full}' — check the path`, {
      cause: thrown,
    })
  }
}
