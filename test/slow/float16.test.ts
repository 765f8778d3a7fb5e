// Real models in floating point of fewer bits: every output stays close on the CPU, and the files run in WebAssembly.
import { describe, expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { loadModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { byteLengthOf, elements, sizeOf, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { type Session, type ValueInfo, withSession } from '../../runtime/session.ts'
import { quantized } from '../stages/quantize/support.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

/** Sizes of free dimensions and contents that a model wants, by input; others are 1 and seeded random numbers. */
type Wanted = Readonly<Record<string, Tensor>>

const silero: Wanted = {
  input: tensorOf(
    'float32',
    [1, 576],
    Float32Array.from({ length: 576 }, (_, time) => 0.3 * Math.sin(time ** 2 / 50)),
  ),
  state: tensorOf('float32', [2, 1, 128], new Float32Array(256)),
  sr: tensorOf('int64', [], [16000]),
}

const models: readonly (readonly [file: string, scale: number, wanted: Wanted])[] = [
  ['conv-tiny-resnet8-cifar10', 100, {}],
  ['mnist-burn-a', 1, {}],
  ['conv-tiny-vww96-mobilenet025', 1, {}],
  ['vit-ibp-3-3-8-cifar10', 1, {}],
  ['magika-v3_3', 100, {}],
  ['basic-pitch', 0.1, {}],
  ['super-resolution-10', 1, {}],
  ['silero-vad', 1, silero],
  ['silero-vad-op18-ifless', 1, silero],
  ['ultraface-rfb-320', 1, {}],
  ['yolox-nano', 100, {}],
  ['vittrack', 1, {}],
]

function feedOf({ name, dtype, shape }: ValueInfo, scale: number): Tensor {
  const dims = shape.map((dim) => (typeof dim === 'number' && dim > 0 ? dim : 1))
  const { normal, integer } = random(1, name)
  const numbers = (next: () => number) => Array.from({ length: sizeOf(dims) }, next)
  if (dtype === 'float32')
    return tensorOf(
      'float32',
      dims,
      numbers(() => scale * normal()),
    )
  if (dtype === 'int32' || dtype === 'int64')
    return tensorOf(
      dtype,
      dims,
      numbers(() => integer(scale)),
    )
  return new Tensor(dtype, dims, new Uint8Array(byteLengthOf(dtype, dims)))
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, first, second] = [0, 0, 0]
  for (const [index, value] of a.entries()) {
    product += value * b[index]!
    first += value ** 2
    second += b[index]! ** 2
  }
  return product / Math.sqrt(first * second)
}

describe.each([
  [{ scheme: 'float16' }, 0.55, 0.99],
  [{ scheme: 'float16', weightsOnly: true }, 0.55, 0.999],
  [{ scheme: 'bfloat16' }, 0.55, 0.99],
  [{ scheme: 'float8' }, 0.45, 0.9],
] as const)('%p', (options, share, least) => {
  itWithShared.each(models)(
    '%s stays close on the CPU and runs in WebAssembly',
    async (file, scale, wanted) => {
      const float = await loadModel(sharedModel(`${file}.onnx`))
      const { model } = await quantized(float, options)
      const bytes = serializeModel(model)
      expect(bytes.length).toBeLessThan(share * serializeModel(float).length)
      const run = async (session: Session) => {
        const feeds = session.inputs.map((input) => [
          input.name,
          wanted[input.name] ?? feedOf(input, scale),
        ])
        return session.run(Object.fromEntries(feeds))
      }
      const expected = await withSession(float, {}, run)
      for (const provider of ['cpu', 'wasm'] as const) {
        const found = await withSession(bytes, { provider }, run)
        for (const [name, tensor] of Object.entries(expected)) {
          const [a, b] = [tensor, found[name]!].map((each) => elements(each, 'float32'))
          expect([file, provider, name, cosine(a!, b!) >= least]).toEqual([
            file,
            provider,
            name,
            true,
          ])
        }
      }
    },
    180_000,
  )
})
