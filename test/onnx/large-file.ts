// Large models, and the memory that a process needs to load one.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeAtomically } from '../../base/files.ts'
import { encodeModel, type TensorProto } from '../../onnx/proto.ts'

/** How a tensor's content is written. */
export type Form = 'rawData' | 'floatData'

/** Writes a model of ten float32 tensors of a size, loads it in a process of its own, and deletes it. */
export function measureLoading(tensorBytes: number, form: Form) {
  const folder = mkdtempSync(join(tmpdir(), 'condense-large-'))
  try {
    const path = join(folder, 'large.onnx')
    const content = new Uint8Array(tensorBytes)
    const initializer = Array.from({ length: 10 }, (_, index): Partial<TensorProto> => {
      const data = form === 'rawData' ? { rawData: content } : { floatData: [content] }
      return { name: `w${index}`, dims: [tensorBytes / 4], dataType: 1, ...data }
    })
    const graph = { initializer, output: [{ name: 'w0' }] }
    writeAtomically(path, encodeModel({ irVersion: 10, opsetImport: [{ version: 21 }], graph }))
    const script = join(import.meta.dirname, 'peak-memory.js')
    const measured = JSON.parse(
      execFileSync(process.execPath, [script, path], { encoding: 'utf8' }),
    )
    return {
      fileBytes: statSync(path).size,
      ...(measured as { tensorBytes: number; peakBytes: number }),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
