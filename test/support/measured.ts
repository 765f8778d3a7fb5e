// A small classification problem, models for it, and a folder that is gone after the tests.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { Dataset } from '../../data/dataset.ts'
import { newModel } from '../../onnx/build.ts'
import { saveModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { datasetOf } from './samples.ts'

/** A folder for the tests of one file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'condense-test-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Noisy samples of one shape; the class is the position of the largest of the first three values. */
export function threeClasses(size: number, shape: readonly number[] = [4]): Dataset {
  const values = shape.reduce((product, dim) => product * dim, 1)
  const { normal } = random(3, 'three classes')
  const samples = Float32Array.from({ length: size * values }, () => normal())
  const labels = Int32Array.from({ length: size }, (_, index) => {
    const [a, b, c] = samples.subarray(index * values, index * values + 3) as unknown as number[]
    return a! >= b! && a! >= c! ? 0 : b! >= c! ? 1 : 2
  })
  return datasetOf({
    source: 'three classes',
    shape,
    classes: ['first', 'second', 'third'],
    labels,
    write: (index, into) => into.set(samples.subarray(index * values, (index + 1) * values)),
  })
}

/** What a test model does with its four inputs. */
export interface TestModel {
  /** Number that the first three inputs are multiplied with; the outputs are these. */
  readonly gain?: number
  readonly inputs?: number
  readonly outputs?: number
  readonly batch?: number | string
  readonly softmax?: boolean
}

/** Writes a linear model to a file and gives its path. */
export async function linearModel(path: string, what: TestModel = {}): Promise<string> {
  const { gain = 1, inputs = 4, outputs = 3, batch = 'N', softmax = false } = what
  const { model, g } = newModel('linear')
  const weights = Array.from({ length: inputs * outputs }, (_, index) =>
    Math.floor(index / outputs) === index % outputs ? gain : 0,
  )
  const x = g.input('x', { dtype: 'float32', shape: [batch, inputs] })
  const y = g.MatMul(x, tensorOf('float32', [inputs, outputs], weights))
  g.output('y', softmax ? g.Softmax(y) : y, { dtype: 'float32', shape: [batch, outputs] })
  await saveModel(model, path)
  return path
}
