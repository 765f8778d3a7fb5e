// Prepared records in the cache: a folder that appears in one step, found again by the hash of what it was made from.
import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { bytesOf } from '../base/bytes.ts'
import { explainFileError, makeFolder, writeAtomically } from '../base/files.ts'
import { hashOf, sha256, sha256OfFile } from '../base/hash.ts'
import { abandonedNames, ownName } from '../base/owner.ts'
import type { PartName, Prepared, PreparedPart } from './prepared.ts'

const partNames = [
  'train',
  'validation',
  'test',
  'unlabelled',
] as const satisfies readonly PartName[]
const storedTypes = ['uint8', 'float32', 'int32'] as const

const partSchema = z.strictObject({
  columns: z.array(
    z.strictObject({
      name: z.string(),
      dtype: z.enum(storedTypes),
      shape: z.array(z.int()),
      ids: z.int().optional(),
      offset: z.int(),
    }),
  ),
  recordBytes: z.int(),
  size: z.int(),
  hash: z.string(),
  labels: z.string().describe('SHA-256 of the labels.'),
  group: z.int(),
})

const splitSchema = z.strictObject({ part: z.enum(partNames), indices: z.string() })

const manifestSchema = z.strictObject({
  version: z.literal(2),
  parts: z.partialRecord(z.enum(partNames), partSchema),
  splits: z.strictObject({
    train: splitSchema,
    validation: splitSchema,
    calibration: splitSchema,
    test: splitSchema,
    unlabelled: splitSchema.optional(),
  }),
  classes: z.array(z.string()),
  targetNames: z.array(z.string()),
  targetClasses: z.enum(['positions', 'indicators']).nullable(),
  learned: z.record(z.string(), z.unknown()),
  notes: z.array(z.string()),
})

/** What stands in the file: the manifest, and the hash of its JSON. */
const fileSchema = z.strictObject({ manifest: z.unknown(), sha256: z.string() })

const manifestName = 'prepared.json'
const recordsName = (part: PartName) => `${part}.records`
const labelsName = (part: PartName) => `${part}.labels`

/** The folder of a cache for prepared data. */
export const preparedFolder = (cacheFolder: string): string => join(cacheFolder, 'prepared')

/** What is known of files without reading them: names, sizes and times of change; a folder with all that is in it. */
export async function stateOf(path: string): Promise<string> {
  const entries: string[] = []
  const visit = async (at: string, name: string) => {
    const found = await stat(at)
    if (!found.isDirectory()) {
      entries.push(`${name}\0${found.size}\0${found.mtimeMs}`)
      return
    }
    for await (const entry of await opendir(at)) {
      const inside = join(at, entry.name)
      // Readers follow no link to a folder, which may lead in a circle.
      const followed =
        !entry.isSymbolicLink() || statSync(inside, { throwIfNoEntry: false })?.isFile()
      if (followed) await visit(inside, `${name}/${entry.name}`)
    }
  }
  await visit(path, basename(path))
  return sha256(entries.sort().join('\n'))
}

/** Looks prepared data up; what is not whole, or damaged, is as if it were not there. */
export async function findPrepared(folder: string): Promise<Prepared | undefined> {
  if (!existsSync(join(folder, manifestName))) return undefined
  try {
    const text = readFileSync(join(folder, manifestName), 'utf8')
    const file = fileSchema.parse(JSON.parse(text))
    if (sha256(JSON.stringify(file.manifest)) !== file.sha256) return undefined
    const manifest = manifestSchema.parse(file.manifest)
    const parts: Partial<Record<PartName, PreparedPart>> = {}
    for (const name of partNames) {
      const part = manifest.parts[name]
      if (!part) continue
      const { labels: labelsHash, group, ...layout } = part
      const path = join(folder, recordsName(name))
      const labels = readNumbers(join(folder, labelsName(name)))
      if (sha256(bytesOf(labels)) !== labelsHash) return undefined
      if ((await sha256OfFile(path)) !== layout.hash) return undefined
      const columns = layout.columns.map(({ ids, ...column }) =>
        ids === undefined ? column : { ...column, ids },
      )
      parts[name] = { store: { ...layout, columns, place: { path } }, labels, group }
    }
    const splitNamed = (name: keyof typeof manifest.splits) => {
      const { part, indices: hash } = manifest.splits[name]!
      const content = readNumbers(join(folder, `${name}.indices`))
      if (sha256(bytesOf(content)) !== hash) throw new Error('damaged')
      return { part, indices: new Uint32Array(content.buffer) }
    }
    const { classes, targetNames, targetClasses, learned, notes } = manifest
    return {
      parts,
      splits: {
        train: splitNamed('train'),
        validation: splitNamed('validation'),
        calibration: splitNamed('calibration'),
        test: splitNamed('test'),
        ...(manifest.splits.unlabelled && { unlabelled: splitNamed('unlabelled') }),
      },
      ...{ classes, targetNames, targetClasses, learned, notes },
    }
  } catch {
    return undefined
  }
}

/** Makes prepared data in a folder of its own, which takes its name when it is whole. */
export async function keepPrepared(
  folder: string,
  make: (pathOf: (part: PartName) => string) => Promise<Prepared>,
): Promise<Prepared> {
  makeFolder(dirname(folder))
  for (const left of abandonedNames(`${folder}.new`)) rmSync(left, { recursive: true, force: true })
  const temporary = ownName(`${folder}.new`)
  try {
    makeFolder(temporary)
    const prepared = await make((part) => join(temporary, recordsName(part)))
    const parts: Record<string, unknown> = {}
    for (const [name, part] of Object.entries(prepared.parts)) {
      const { store, labels, group } = part
      const { place: _, ...layout } = store
      writeAtomically(join(temporary, labelsName(name as PartName)), bytesOf(labels))
      parts[name] = { ...layout, labels: sha256(bytesOf(labels)), group }
    }
    const splits: Record<string, unknown> = {}
    for (const [name, { part, indices }] of Object.entries(prepared.splits)) {
      writeAtomically(join(temporary, `${name}.indices`), bytesOf(indices))
      splits[name] = { part, indices: sha256(bytesOf(indices)) }
    }
    const { classes, targetNames, targetClasses, learned, notes } = prepared
    const manifest = {
      version: 2,
      ...{ parts, splits, classes, targetNames, targetClasses, learned, notes },
    }
    const text = `${JSON.stringify({ manifest, sha256: sha256(JSON.stringify(manifest)) })}\n`
    writeAtomically(join(temporary, manifestName), text)
    // Where another process was quicker its result stays: somebody may be reading it.
    if (!(await isThere(folder, text))) putInPlace(temporary, folder)
    return movedTo(prepared, folder)
  } catch (thrown) {
    throw explainFileError(folder, thrown)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Whether the folder has the same already, whole. */
async function isThere(folder: string, manifest: string): Promise<boolean> {
  const path = join(folder, manifestName)
  if (!existsSync(path) || readFileSync(path, 'utf8') !== manifest) return false
  return (await findPrepared(folder)) !== undefined
}

/** What is in the place is damaged or outdated: it goes, in one step. */
function putInPlace(temporary: string, folder: string): void {
  const outdated = ownName(`${folder}.new`)
  if (existsSync(folder)) renameSync(folder, outdated)
  renameSync(temporary, folder)
  rmSync(outdated, { recursive: true, force: true })
}

/** The same with the records where they lie now. */
function movedTo(prepared: Prepared, folder: string): Prepared {
  const parts = Object.fromEntries(
    Object.entries(prepared.parts).map(([name, part]) => {
      const path = join(folder, recordsName(name as PartName))
      return [name, { ...part, store: { ...part.store, place: { path } } }]
    }),
  )
  return { ...prepared, parts }
}

/** The name of the folder for what was made from these. */
export const preparedKey = (parts: unknown): string => hashOf(parts).slice(0, 32)

function readNumbers(path: string): Int32Array {
  const bytes = Uint8Array.from(readFileSync(path))
  return new Int32Array(bytes.buffer, 0, bytes.length / 4)
}
