// Labels and other facts from the names of files, by a regular expression with named groups.
import { basename } from 'node:path'
import { z } from 'zod'
import { messageOf, UserError } from '../../base/errors.ts'
import type { Part, Row, Table } from '../table.ts'
import { type FileKind, filesUnder, othersText, partFolders } from './folder-files.ts'
import type { Place, ReaderContext } from './reader.ts'

/** Schemas of what names tell. */
export const fileNameFields = {
  pattern: z
    .string()
    .min(1)
    .max(1000)
    .describe(
      "Regular expression for whole names of files; each named group becomes a column of text, and the group 'label' the class: '(?<label>\\d)_(?<speaker>\\w+)_(?<index>\\d+)\\.wav'.",
    ),
  unmatched: z
    .enum(['refuse', 'skip'])
    .optional()
    .describe(
      'What becomes of files whose name does not fit: an end of the run (unless given), or a count.',
    ),
  testWhen: z
    .strictObject({
      group: z.string().min(1).describe('A named group of the pattern.'),
      in: z.array(z.string()).min(1).describe('Files whose group has one of these values.'),
    })
    .optional()
    .describe('Which files are the test part, where no folder is.'),
}

/** Resolved options of what names tell. */
export type FileNameOptions = {
  readonly [Field in keyof typeof fileNameFields]: z.output<(typeof fileNameFields)[Field]>
}

// Regular expressions may take long over long names; file systems know none that are longer.
const maximumName = 255

/**
 * A table of the files under a folder, however deep, and a column for each named group; a group that took no part in a
 * match is a missing cell. The classes are the labels of the training part, as numbers in their order if all are.
 *
 * Folders are listed one at a time and again each time the rows are read. `option` is what the options are called.
 */
export async function openNamedFiles(
  place: Place,
  kind: FileKind,
  column: string,
  options: FileNameOptions,
  option: string,
  { log }: ReaderContext,
): Promise<Table> {
  const parts = await partFolders(place, kind)
  const { expression, groups } = compile(options.pattern, column, option)
  const { testWhen } = options
  if (testWhen && parts.test)
    throw new UserError(
      `${option}.testWhen: there is a test part already: ${parts.test} — remove one of the two`,
    )
  if (testWhen && !groups.includes(testWhen.group))
    throw new UserError(
      `${option}.testWhen.group: no such group: '${testWhen.group}' — the pattern has ${groups.join(', ')}`,
    )
  const testValues = new Set(testWhen?.in)
  const labelAt = groups.indexOf('label')

  async function* rowsOf(path: string, test: boolean | undefined): AsyncGenerator<Row> {
    for await (const file of filesUnder(path, path, kind)) {
      const found = match(basename(file))
      if (found === undefined) continue
      const isTest = testWhen && testValues.has(found.get(testWhen.group) ?? '')
      if (test === undefined || isTest === test)
        yield [{ path: file }, ...groups.map((group) => found.get(group) ?? null)]
    }
  }
  function match(name: string): ReadonlyMap<string, string> | undefined {
    const found = name.length > maximumName ? null : expression.exec(name)
    return found ? new Map(Object.entries(found.groups ?? {})) : undefined
  }
  async function openPart(path: string, test?: boolean) {
    const labels = new Set<string>()
    let size = 0
    for await (const row of rowsOf(path, test)) {
      size++
      const label = labelAt < 0 ? undefined : row[labelAt + 1]
      if (typeof label === 'string') labels.add(label)
    }
    if (size === 0)
      throw new UserError(
        test === undefined
          ? `${path}: holds no ${kind.noun} whose names fit ${option}.pattern — check the folder and the pattern`
          : `${option}.testWhen: ${test ? 'takes no file' : 'takes every file'}: '${testWhen?.group}' in ${[...testValues].slice(0, 5).join(', ')} — correct it`,
      )
    const part: Part = { where: path, size, rows: () => rowsOf(path, test) }
    return { part, labels }
  }

  for (const path of new Set(Object.values(parts))) await checkNames(path)
  const train = await openPart(parts.train, testWhen && false)
  const validation = parts.validation === undefined ? undefined : await openPart(parts.validation)
  const test = testWhen
    ? await openPart(parts.train, true)
    : parts.test === undefined
      ? undefined
      : await openPart(parts.test)
  for (const other of [validation, test]) {
    const stranger = [...(other?.labels ?? [])].find((label) => !train.labels.has(label))
    if (stranger !== undefined)
      throw new UserError(
        `${other?.part.where}: no class of the training part: '${stranger}' — remove its files, or add some to the training part`,
      )
  }
  return {
    columns: [
      { name: column, type: 'file' },
      ...groups.map((name) => ({ name, type: 'text' }) as const),
    ],
    train: train.part,
    ...(validation && { validation: validation.part }),
    ...(test && { test: test.part }),
    ...(labelAt < 0 ? {} : { label: 'label', classes: sorted(train.labels) }),
  }

  /** Refuses or counts names that do not fit, and says what else lies there. */
  async function checkNames(path: string): Promise<void> {
    const others = new Map<string, number>()
    let unmatched = 0
    for await (const file of filesUnder(path, path, kind, others)) {
      const found = match(basename(file))
      if (found && (labelAt < 0 || found.get('label') !== undefined)) continue
      if (options.unmatched !== 'skip' || found)
        throw new UserError(
          `${file}: its name ${found ? 'gives no label by' : 'does not fit'} ${option}.pattern: ${options.pattern} — rename it, correct the pattern, or say 'unmatched: skip'`,
        )
      unmatched++
    }
    if (unmatched > 0)
      log(`${path}: ignored: ${unmatched} ${kind.noun} whose names do not fit the pattern`)
    if (others.size > 0) log(`${path}: ignored: ${othersText(others, kind)}`)
  }
}

function compile(pattern: string, column: string, option: string) {
  try {
    const expression = new RegExp(`^(?:${pattern})$`, 'u')
    // An alternative that always fits gives the names of all groups.
    const groups = Object.keys(new RegExp(`^(?:${pattern})$|`, 'u').exec('')?.groups ?? {})
    if (groups.includes(column))
      throw new UserError(
        `${option}.pattern: a group has the name of the files' column: '${column}' — rename the group`,
      )
    return { expression, groups }
  } catch (thrown) {
    if (thrown instanceof UserError) throw thrown
    throw new UserError(
      `${option}.pattern: not a regular expression: ${pattern} — ${messageOf(thrown)}`,
      { cause: thrown },
    )
  }
}

function sorted(labels: ReadonlySet<string>): string[] {
  const names = [...labels]
  const areNumbers = names.every((name) => /^\d{1,15}$/.test(name))
  return areNumbers ? names.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1)) : names.sort()
}
