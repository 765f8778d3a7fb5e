// What the teacher says about training samples: computed once and kept on disk, or asked anew where samples change.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, writeAtomically } from '../base/files.ts'
import { hashOf, sha256 } from '../base/hash.ts'
import type { Dataset } from '../data/dataset.ts'
import { cloneModel } from '../onnx/clone.ts'
import type { Model } from '../onnx/graph.ts'
import { removeDeadNodes } from '../onnx/passes/dead-nodes.ts'
import { serializeModel } from '../onnx/save.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { predict, predictWith } from '../runtime/predict.ts'
import { openSession, type Session } from '../runtime/session.ts'
import { logitsOf } from '../train/prepare.ts'
import type { Teacher } from '../train/settings.ts'
import type { StageContext } from './stage.ts'

/** A copy of a classifier that gives its logits instead of probabilities, and nothing else. */
function withLogits(model: Model): Model {
  const copy = cloneModel(model)
  const [output] = copy.graph.outputs
  if (output) copy.graph.outputs.splice(0, copy.graph.outputs.length, logitsOf(output))
  removeDeadNodes(copy.graph)
  return copy
}

/** The teacher's logits by the index of a sample: read from disk if they are there, else computed and written. */
export async function cachedLogits(dataset: Dataset, context: StageContext): Promise<Teacher> {
  const { teacher, shared, threads, provider, signal, log } = context
  const model = serializeModel(withLogits(teacher))
  const key = hashOf([sha256(model), dataset.fingerprint, threads, provider])
  const path = join(shared, `teacher-${key}.f32`)
  const bytes = dataset.size * dataset.classes.length * 4
  let logits = readFloats(path, bytes)
  if (!logits) {
    log(`teacher answers ${dataset.size} training samples`)
    const { outputs } = await predict(model, dataset, {
      threads,
      provider,
      signal,
      where: 'teacher',
    })
    makeFolder(shared)
    const content = new Uint8Array(outputs.buffer, outputs.byteOffset, outputs.byteLength)
    writeAtomically(path, [content, Buffer.from(sha256(content))])
    logits = outputs
  }
  const all = logits
  const width = all.length / dataset.size
  let rows = new Float32Array()
  return ({ indices, size }) => {
    if (rows.length !== size * width) rows = new Float32Array(size * width)
    for (const [row, index] of indices.entries())
      rows.set(all.subarray(index * width, (index + 1) * width), row * width)
    return [rows]
  }
}

/** The teacher itself, asked for exactly the batch that the student sees. */
export async function onlineLogits(
  dataset: Dataset,
  context: StageContext,
): Promise<{ logits: Teacher; session: Session }> {
  const { teacher, threads, provider } = context
  const session = await openSession(withLogits(teacher), { threads, provider, where: 'teacher' })
  const { shape } = dataset
  const width = sizeOf(shape)
  const logits: Teacher = async ({ inputs, size }) => {
    // Batches of a data set have one input, of floats.
    const samples = inputs[0] as Float32Array
    const read = (index: number, into: Float32Array, offset: number) =>
      into.set(samples.subarray(index * width, (index + 1) * width), offset)
    const options = { batch: size, where: 'teacher' }
    return [(await predictWith(session, { size, shape, read }, options)).outputs]
  }
  return { logits, session }
}

/** The floats of a file that ends with their hash; undefined where there is none or it is damaged. */
function readFloats(path: string, bytes: number): Float32Array | undefined {
  if (!existsSync(path)) return undefined
  const file = readFileSync(path)
  const content = Uint8Array.from(file.subarray(0, bytes))
  if (file.toString('latin1', bytes) !== sha256(content)) return undefined
  return new Float32Array(content.buffer)
}
