// A teacher's answers to all samples, computed once, kept on disk and read by position.
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bytesOf } from '../../base/bytes.ts'
import { makeFolder, writeAtomically } from '../../base/files.ts'
import { fromHalves, largestFloat16, toHalves } from '../../base/float16.ts'
import { hashOf, sha256, sha256OfFile } from '../../base/hash.ts'
import { abandonedNames, ownName } from '../../base/owner.ts'
import type { Dataset } from '../../data/dataset.ts'
import { fileWriter, layOut, openStore, type Store, type StoreWriter } from '../../data/store.ts'
import { predictEach } from '../../runtime/predict.ts'
import { withSession } from '../../runtime/session.ts'
import type { StageContext } from '../stage.ts'
import { type Manner, mannerOf, probabilitiesNote, type Respondent, settle } from './answers.ts'
import type { Source } from './source.ts'

type AnswerType = 'float16' | 'float32'

/** How answers are kept. */
export interface Keeping {
  readonly store: AnswerType
  /** Samples a run. */
  readonly batch: number
  /** Arrays that are kept as float32 whatever the others are, by place. */
  readonly exact: ReadonlySet<number>
}

/** Answers on disk, with what is known of them. */
type Kept = Store<AnswerType> & { readonly probabilities: boolean }

/** Bytes of answers that are held in memory: asking the system for each record takes as long as a small training step. */
const heldBytes = 1 << 25

/**
 * Gives the answers by the index of a sample: found on disk, where they are put first if need be. A file of more than
 * `mostInMemory` bytes is read by position.
 */
export async function cachedSource(
  respondent: Respondent,
  data: Dataset,
  keeping: Keeping,
  context: StageContext,
  mostInMemory = heldBytes,
): Promise<Source> {
  const { shared, threads, provider } = context
  const key = hashOf([
    sha256(respondent.bytes),
    ...[respondent.form, data.classes.length, data.fingerprint],
    ...[keeping.store, keeping.batch, [...keeping.exact]],
    ...[threads, provider],
  ])
  const path = join(shared, `teacher-${key}.records`)
  const found = await findKept(path)
  const kept = found ?? (await keep(path, respondent, data, keeping, context))
  // Those that are new have said so.
  if (found?.probabilities) context.log(probabilitiesNote(respondent))
  const { columns, probabilities } = kept
  const isSmall = kept.size * kept.recordBytes <= mostInMemory
  const memory = isSmall ? new Uint8Array(readFileSync(path)) : undefined
  const read = openStore(memory ? { ...kept, place: { memory } } : kept)
  const widths = columns.map(({ shape }) => shape[0]!)
  let rows: Float32Array[] = []
  return {
    manner: { widths, probabilities },
    async ask({ indices, size }) {
      if (rows[0]?.length !== size * widths[0]!)
        rows = widths.map((width) => new Float32Array(size * width))
      for (const [place, column] of columns.entries())
        for (const [row, index] of indices.entries())
          decode(column.dtype, read(index, column), rows[place]!, row * widths[place]!)
      return rows
    },
    async close() {},
  }
}

/** Writes the numbers of a column to `into`. */
function decode(dtype: AnswerType, bytes: Uint8Array, into: Float32Array, offset: number): void {
  const { buffer, byteOffset, length } = bytes
  if (dtype === 'float16') fromHalves(new Uint16Array(buffer, byteOffset, length / 2), into, offset)
  else into.set(new Float32Array(buffer, byteOffset, length / 4), offset)
}

/** Asks the teacher about all samples and keeps its answers; once more, as float32, where float16 cannot hold them. */
async function keep(
  path: string,
  respondent: Respondent,
  data: Dataset,
  keeping: Keeping,
  context: StageContext,
): Promise<Kept> {
  const { shared, log, threads, provider } = context
  const where = respondent.name
  log(`${where} answers ${data.size} training samples`)
  makeFolder(shared)
  return await withSession(respondent.bytes, { threads, provider, where }, async (session) => {
    const manner = await mannerOf(respondent, session, data, keeping.batch, context)
    if (manner.probabilities) log(probabilitiesNote(respondent))
    const write = (store: AnswerType) => {
      const types = manner.widths.map((_, place) => (keeping.exact.has(place) ? 'float32' : store))
      return written(path, types, manner, (use) =>
        predictEach(
          session,
          inWholeBatches(data, keeping.batch),
          { where, outputs: 'all', batch: keeping.batch, signal: context.signal },
          (values, start, count) => {
            const real = Math.min(count, data.size - start)
            const known = values.subarray(0, (values.length / count) * Math.max(0, real))
            if (real <= 0) return
            settle(known, real, respondent, manner, (row) => start + row)
            use(known, real)
          },
        ),
      )
    }
    try {
      return await write(keeping.store)
    } catch (thrown) {
      if (!(thrown instanceof BeyondFloat16)) throw thrown
      const { place, value } = thrown
      log(
        `${where}: ${respondent.names[place]} reaches ${value}, beyond float16: its answers are kept as float32`,
      )
      return await write('float32')
    }
  })
}

/** A number that float16 does not hold. */
class BeyondFloat16 extends Error {
  readonly place: number
  readonly value: number

  constructor(place: number, value: number) {
    super('internal: beyond float16')
    this.place = place
    this.value = value
  }
}

/**
 * The samples, of which the first ones fill up the last batch: kernels may add up in another order for fewer rows, and
 * the answers are to be those that a training batch would get.
 */
const inWholeBatches = (data: Dataset, batch: number): Dataset => ({
  ...data,
  size: Math.ceil(data.size / batch) * batch,
  read: (index, column, into, offset) => data.read(index % data.size, column, into, offset),
})

/** Writes what `answer` hands over, arrays of some samples side by side, to a file that is whole once it is there. */
async function written(
  path: string,
  types: readonly AnswerType[],
  { widths, probabilities }: Manner,
  answer: (use: (values: Float32Array, count: number) => void) => Promise<void>,
): Promise<Kept> {
  for (const left of abandonedNames(`${path}.tmp`)) rmSync(left, { force: true })
  const temporary = ownName(`${path}.tmp`)
  const layout = layOut(
    widths.map((width, place) => ({ name: String(place), dtype: types[place]!, shape: [width] })),
  )
  const writer = fileWriter(layout, temporary)
  let halves = new Uint16Array()
  try {
    await answer((values, count) => {
      if (types.includes('float16')) {
        if (halves.length < values.length) halves = new Uint16Array(values.length)
        toHalves(values, halves)
      }
      writeRecords(values, halves, count, layout.columns, writer)
    })
    const { place: _, ...facts } = writer.finish()
    renameSync(temporary, path)
    writeAtomically(`${path}.json`, JSON.stringify({ ...facts, probabilities }))
    return { ...facts, probabilities, place: { path } }
  } finally {
    writer.abandon()
    rmSync(temporary, { force: true })
  }
}

function writeRecords(
  values: Float32Array,
  halves: Uint16Array,
  count: number,
  columns: Kept['columns'],
  writer: StoreWriter<AnswerType>,
): void {
  let at = 0
  for (let row = 0; row < count; row++) {
    for (const [place, { dtype, shape, offset }] of columns.entries()) {
      const end = at + shape[0]!
      if (dtype === 'float16') {
        for (let index = at; index < end; index++)
          if (Math.abs(values[index]!) > largestFloat16)
            throw new BeyondFloat16(place, values[index]!)
        writer.record.set(bytesOf(halves.subarray(at, end)), offset)
      } else writer.record.set(bytesOf(values.subarray(at, end)), offset)
      at = end
    }
    writer.next()
  }
}

/** What was written before, if it is whole. */
async function findKept(path: string): Promise<Kept | undefined> {
  if (!existsSync(path) || !existsSync(`${path}.json`)) return undefined
  try {
    const facts = JSON.parse(readFileSync(`${path}.json`, 'utf8')) as Omit<Kept, 'place'>
    return (await sha256OfFile(path)) === facts.hash ? { ...facts, place: { path } } : undefined
  } catch {
    return undefined
  }
}
