import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, brotliDecompressSync, constants, gzipSync } from 'node:zlib'
import { expect, it } from '@jest/globals'
import { measureSize } from '../../benchmarks/size.ts'
import { newModel } from '../../onnx/build.ts'
import { loadModel } from '../../onnx/load.ts'
import { saveModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { temporaryFolder } from '../support/measured.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

const folder = temporaryFolder()

/** A model with 1000 weights, every fourth of them zero. */
function sparse() {
  const { model, g } = newModel('sparse')
  const weights = Array.from({ length: 1000 }, (_, index) => (index % 4 === 0 ? 0 : index))
  const x = g.input('x', { dtype: 'float32', shape: ['N', 100] })
  g.output('y', g.MatMul(x, tensorOf('float32', [100, 10], weights)), {
    dtype: 'float32',
    shape: ['N', 10],
  })
  return model
}

const brotliBytes = (path: string): number => {
  const content = readFileSync(path)
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants
  const params = {
    [BROTLI_PARAM_QUALITY]: 9,
    [BROTLI_PARAM_LGWIN]: 24,
    [BROTLI_PARAM_SIZE_HINT]: content.length,
  }
  const compressed = brotliCompressSync(content, { params })
  expect(brotliDecompressSync(compressed).equals(content)).toBe(true)
  return compressed.length
}

it('measures the file, its gzip and Brotli, and its weights', async () => {
  const path = join(folder, 'sparse.onnx')
  await saveModel(sparse(), path)
  expect(await measureSize(path, await loadModel(path))).toEqual({
    sizeBytes: statSync(path).size,
    gzipBytes: gzipSync(readFileSync(path), { level: 9 }).length,
    brotliBytes: brotliBytes(path),
    parameters: 1000,
    nonzeroParameters: 750,
  })
})

it('counts external data', async () => {
  const path = join(folder, 'external.onnx')
  await saveModel(sparse(), path, { externalData: true })
  const files = [path, `${path}.data`]
  expect(await measureSize(path, await loadModel(path))).toEqual({
    sizeBytes: files.reduce((sum, file) => sum + statSync(file).size, 0),
    gzipBytes: files.reduce(
      (sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length,
      0,
    ),
    brotliBytes: files.reduce((sum, file) => sum + brotliBytes(file), 0),
    parameters: 1000,
    nonzeroParameters: 750,
  })
})

itWithShared('measures a real model', async () => {
  const path = sharedModel('conv-distiller-resnet20-dense-cifar10.onnx')
  const { sizeBytes, parameters } = await measureSize(path, await loadModel(path))
  // He et al. 2016, table 6: 0.27 million parameters.
  expect([sizeBytes, parameters]).toEqual([1109344, 272474])
})
