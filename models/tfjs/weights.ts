// The weights of a TensorFlow.js model: shards beside the model.json, joined and dequantized weight by weight.
import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, sep } from 'node:path'
import { Float16Array } from '@petamoriken/float16'
import { UserError } from '../../base/errors.ts'
import { explainFileError } from '../../base/files.ts'
import { sizeOf, Tensor, tensorOf } from '../../onnx/tensor.ts'
import type { ModelFile, WeightEntry } from './model-file.ts'

/** Bytes of one element in a shard. */
const widths = { float32: 4, float16: 2, int32: 4, uint16: 2, uint8: 1, bool: 1 } as const

type Stored = keyof typeof widths

/**
 * Reads all weights: float32, int32 and bool as they are, quantized and narrower ones as float32 or int32.
 *
 * A shard outside the folder, missing or of another length than its weights need is a {@link UserError}; lengths are
 * compared before anything is read.
 */
export function readWeights(path: string, file: ModelFile): Map<string, Tensor> {
  const weights = new Map<string, Tensor>()
  for (const { paths, weights: entries } of file.weightsManifest) {
    const plans = entries.map((entry) => ({ entry, ...storage(path, entry) }))
    const needed = plans.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const bytes = readShards(path, paths, needed)
    let offset = 0
    for (const { entry, stored, byteLength } of plans) {
      const part = bytes.subarray(offset, offset + byteLength)
      offset += byteLength
      weights.set(entry.name, decode(entry, stored, part))
    }
  }
  return weights
}

function storage(path: string, entry: WeightEntry): { stored: Stored; byteLength: number } {
  const { name, dtype, shape, quantization } = entry
  const stored = quantization?.dtype ?? dtype
  const fail = (what: string) => new UserError(`${path}: weight '${name}': ${what}`)
  if (stored === 'string' || stored === 'complex64')
    throw fail(`cannot be converted: dtype ${stored} — use a model of numbers`)
  if (quantization) {
    const allowed = quantization.dtype === 'float16' ? ['float32'] : ['float32', 'int32']
    if (!allowed.includes(dtype))
      throw fail(`${quantization.dtype} cannot hold quantized ${dtype} — convert the model again`)
    if (
      quantization.dtype !== 'float16' &&
      (quantization.scale === undefined || quantization.min === undefined)
    )
      throw fail('is quantized without scale and min — convert the model again')
  }
  const byteLength = sizeOf(shape) * widths[stored]
  if (!Number.isSafeInteger(byteLength) || byteLength > 2 ** 31)
    throw fail(`is too large: ${byteLength} bytes — use a smaller model`)
  return { stored, byteLength }
}

/** The shards of one group in one piece. */
function readShards(path: string, paths: readonly string[], needed: number): Uint8Array {
  const shards: { shard: string; handle: number; size: number }[] = []
  try {
    for (const shard of paths) {
      const handle = openShard(path, shard)
      shards.push({ shard, handle, size: fstatSync(handle).size })
    }
    const found = shards.reduce((sum, { size }) => sum + size, 0)
    if (found !== needed)
      throw new UserError(
        `${path}: the shards ${paths.join(', ')} have ${found} bytes, but their weights need ${needed} — copy the whole model again`,
      )
    const bytes = new Uint8Array(needed)
    let offset = 0
    for (const { shard, handle, size } of shards)
      for (const end = offset + size; offset < end; ) {
        const count = readSync(handle, bytes, offset, Math.min(end - offset, 2 ** 30), null)
        if (count === 0)
          throw new UserError(`${path}: shard '${shard}' ended early — copy it again`)
        offset += count
      }
    return bytes
  } finally {
    for (const { handle } of shards) closeSync(handle)
  }
}

function openShard(path: string, shard: string): number {
  const parts = shard.split(/[\\/]/)
  const outside = new UserError(
    `${path}: shard '${shard.slice(0, 100)}' lies outside the model's folder — put the shards beside the model.json`,
  )
  if (isAbsolute(shard) || /^[a-z]+:/i.test(shard) || parts.includes('..')) throw outside
  if (shard === '' || shard.includes('\0'))
    throw new UserError(`${path}: a shard without a file name — save the model again`)
  const file = join(dirname(path), shard)
  try {
    const real = realpathSync(file)
    const home = realpathSync(dirname(path))
    if (!real.startsWith(home.endsWith(sep) ? home : home + sep)) throw outside
    const handle = openSync(real, 'r')
    if (fstatSync(handle).isFile()) return handle
    closeSync(handle)
    throw new UserError(`${file}: is no file — put the shards beside the model.json`)
  } catch (thrown) {
    throw explainFileError(file, thrown)
  }
}

function decode(
  { dtype, shape, quantization }: WeightEntry,
  stored: Stored,
  part: Uint8Array,
): Tensor {
  // A copy of its own: the shards' bytes can go, and typed arrays need aligned ones.
  const { buffer } = part.slice()
  if (quantization && stored !== 'float16') {
    const { scale = 1, min = 0 } = quantization
    const cells = stored === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer)
    return dtype === 'int32'
      ? tensorOf(
          'int32',
          shape,
          Int32Array.from(cells, (cell) => Math.round(cell * scale + min)),
        )
      : tensorOf(
          'float32',
          shape,
          Float32Array.from(cells, (cell) => cell * scale + min),
        )
  }
  if (stored === 'float16')
    return tensorOf('float32', shape, Float32Array.from(new Float16Array(buffer)))
  if (stored === 'float32') return tensorOf('float32', shape, new Float32Array(buffer))
  if (stored === 'int32') return tensorOf('int32', shape, new Int32Array(buffer))
  if (stored === 'bool') return new Tensor('bool', shape, new Uint8Array(buffer))
  return tensorOf('int32', shape, Int32Array.from(new Uint8Array(buffer)))
}
