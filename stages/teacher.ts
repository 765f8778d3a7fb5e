// What the teacher says about training samples: computed once and kept on disk, or asked anew where samples change.
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, writeAtomically } from '../base/files.ts'
import { hashOf, sha256, sha256OfFile } from '../base/hash.ts'
import { abandonedNames, ownName } from '../base/owner.ts'
import type { Samples } from '../base/samples.ts'
import type { Batch, Dataset } from '../data/dataset.ts'
import { fileWriter, layOut, openStore, type Store, viewsOf } from '../data/store.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Model, Value } from '../onnx/graph.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { serializeModel } from '../onnx/save.ts'
import { predictEach, predictWith } from '../runtime/predict.ts'
import { openSession, type Session, withSession } from '../runtime/session.ts'
import type { LossOptions } from '../train/losses.ts'
import { binaryLogitsOf, logitsOf } from '../train/prepare.ts'
import type { Teacher, TrainingBatch } from '../train/settings.ts'
import type { FedBatch } from './feeding.ts'
import type { StageContext } from './stage.ts'

/** What of the teacher a training compares with. */
export interface TaughtOutputs {
  readonly outputs: 'first' | 'all'
  /** What is put in the place of a closing Softmax or Sigmoid: what went into it. */
  readonly before: (output: Value) => Value
}

/** What these losses want to know of the teacher. */
export const taughtOutputs = (losses: readonly LossOptions[]): TaughtOutputs => ({
  outputs: losses.some(({ loss }) => loss === 'match') ? 'all' : 'first',
  before: losses.some(({ loss }) => loss === 'kl-binary') ? binaryLogitsOf : logitsOf,
})

/** A copy of the teacher that gives logits instead of probabilities, and of its outputs those that are wanted. */
function taught(
  teacher: Model,
  { inputs = {} }: Samples,
  { outputs: wanted, before }: TaughtOutputs,
): Model {
  const copy = cloneModel(teacher)
  const { outputs } = copy.graph
  const state = new Set(
    Object.values(inputs).flatMap((source) => ('carry' in source ? [source.carry] : [])),
  )
  const answers = outputs.filter(({ name }) => !state.has(name))
  const kept = wanted === 'first' ? answers.slice(0, 1) : answers
  // What is carried from chunk to chunk stays as it is.
  const carried = outputs.filter(({ name }) => state.has(name))
  outputs.splice(0, outputs.length, ...kept.map(before), ...carried)
  removeDeadNodes(copy.graph)
  return copy
}

/** The teacher's outputs by the index of a sample: read from disk, by position, after they were computed there once. */
export async function cachedAnswers(
  dataset: Dataset,
  wanted: TaughtOutputs,
  context: StageContext,
): Promise<Teacher> {
  const { shared, log } = context
  const model = serializeModel(taught(context.teacher, dataset, wanted))
  const key = hashOf([
    sha256(model),
    wanted.outputs,
    ...[dataset.fingerprint, context.threads, context.provider],
  ])
  const path = join(shared, `teacher-${key}.records`)
  let store = await findAnswers(path)
  if (!store) {
    log(`teacher answers ${dataset.size} training samples`)
    makeFolder(shared)
    store = await writeAnswers(path, model, dataset, wanted, context)
  }
  const read = openStore(store)
  const { columns } = store
  let rows: Float32Array[] = []
  return ({ indices, size }) => {
    const widths = columns.map(({ shape }) => shape[0]!)
    if (rows[0]?.length !== size * widths[0]!)
      rows = widths.map((width) => new Float32Array(size * width))
    for (const [output, column] of columns.entries())
      for (const [row, index] of indices.entries()) {
        const bytes = read(index, column)
        const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
        rows[output]!.set(values, row * values.length)
      }
    return rows
  }
}

async function writeAnswers(
  path: string,
  model: Uint8Array,
  dataset: Dataset,
  wanted: TaughtOutputs,
  { threads, provider, signal }: StageContext,
): Promise<Store> {
  for (const left of abandonedNames(`${path}.tmp`)) rmSync(left, { force: true })
  const temporary = ownName(`${path}.tmp`)
  let writer: ReturnType<typeof fileWriter> | undefined
  try {
    let record: Float32Array | undefined
    const options = { where: 'teacher', outputs: wanted.outputs, signal }
    await withSession(model, { threads, provider, where: 'teacher' }, (session) =>
      predictEach(session, dataset, options, (values, _start, count, widths) => {
        if (!writer) {
          const columns = widths.map((width, output) => ({
            name: String(output),
            dtype: 'float32' as const,
            shape: [width],
          }))
          const layout = layOut(columns)
          writer = fileWriter(layout, temporary)
          record = viewsOf({ columns: [wholeOf(layout)] }, writer.record)[0] as Float32Array
        }
        const width = values.length / count
        for (let row = 0; row < count; row++) {
          record!.set(values.subarray(row * width, (row + 1) * width))
          writer.next()
        }
      }),
    )
    const { place: _, ...facts } = writer!.finish()
    renameSync(temporary, path)
    writeAtomically(`${path}.json`, JSON.stringify(facts))
    return { ...facts, place: { path } }
  } finally {
    writer?.abandon()
    rmSync(temporary, { force: true })
  }
}

/** All floats of a record as one column. */
const wholeOf = ({ recordBytes }: Pick<Store, 'recordBytes'>) => ({
  ...{ name: 'all', dtype: 'float32' as const, shape: [recordBytes / 4], offset: 0 },
})

/** What was written before, if it is whole. */
async function findAnswers(path: string): Promise<Store | undefined> {
  if (!existsSync(path) || !existsSync(`${path}.json`)) return undefined
  try {
    const facts = JSON.parse(readFileSync(`${path}.json`, 'utf8')) as Omit<Store, 'place'>
    return (await sha256OfFile(path)) === facts.hash ? { ...facts, place: { path } } : undefined
  } catch {
    return undefined
  }
}

/** The teacher itself, asked for exactly the batch that the student sees. */
export async function onlineAnswers(
  dataset: Dataset,
  wanted: TaughtOutputs,
  { teacher, threads, provider }: StageContext,
): Promise<{ answers: Teacher; session: Session }> {
  const session = await openSession(taught(teacher, dataset, wanted), {
    ...{ threads, provider, where: 'teacher' },
  })
  const answers = async (fed: TrainingBatch) => {
    const { batch } = fed as FedBatch // the batches of a stage are made by `feedingOf`
    const found = await predictWith(session, samplesIn(batch, dataset), {
      ...{ batch: batch.size, where: 'teacher', outputs: wanted.outputs },
    })
    return splitOutputs(found.outputs, found.widths, batch.size)
  }
  return { answers, session }
}

/** The samples of a batch as samples of their own. */
function samplesIn({ columns, size }: Batch, { columns: facts, inputs }: Dataset): Samples {
  return {
    ...{ size, inputs, columns: facts },
    read(index, column, into, offset) {
      const values = columns[column]!
      const width = values.length / size
      into.set(values.subarray(index * width, (index + 1) * width), offset)
    },
  }
}

/** Outputs that lie side by side for each sample, each by itself. */
function splitOutputs(
  all: Float32Array,
  widths: readonly number[],
  size: number,
): readonly Float32Array[] {
  if (widths.length === 1) return [all]
  const total = all.length / size
  let offset = 0
  return widths.map((width) => {
    const values = new Float32Array(size * width)
    for (let row = 0; row < size; row++)
      values.set(all.subarray(row * total + offset, row * total + offset + width), row * width)
    offset += width
    return values
  })
}
