import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { build, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { packedOf, packZeros, unpackZeros } from '../../onnx/packed.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { type ArrayType, dataTypes, elements, sizeOf, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { temporaryFolder } from '../support/measured.ts'

const folder = temporaryFolder()

/** A tensor of which this share of elements is not zero, among them the last one. */
function holey(dtype: ArrayType, dims: readonly number[], share: number): Tensor {
  const { uniform, integer } = random(5, `${dtype} ${share}`)
  const width = dataTypes[dtype].bits / 8
  const bytes = new Uint8Array(sizeOf(dims) * width)
  for (let at = 0; at < bytes.length; at += width)
    if (uniform() < share || at + width === bytes.length)
      for (let byte = 0; byte < width; byte++) bytes[at + byte] = 1 + integer(50)
  return new Tensor(dtype, dims, bytes)
}

/** A model that gives a weight as float32. */
function modelWith(tensor: Tensor, opset = 13): Model {
  const { model, g } = newModel('holey', opset)
  const x = g.input('x', { dtype: 'float32', shape: [1] })
  const weight = g.constant(tensor, 'w/CumSum')
  const shown = tensor.dtype === 'float32' ? weight : g.Cast(weight, { to: 1 })
  g.output('y', g.Add(shown, x), { dtype: 'float32' })
  return model
}

const weightOf = ({ graph }: Model) =>
  [...graph.initializers].find(({ name }) => name === 'w/CumSum')!.tensor!

const run = (model: Uint8Array, provider: 'cpu' | 'wasm') =>
  withSession(model, { provider }, async (session) => {
    const [output] = Object.values(await session.run({ x: tensorOf('float32', [1], [0]) }))
    return Buffer.from(output!.bytes)
  })

describe('a tensor with many zeros', () => {
  it.each<[ArrayType, readonly number[], number, string]>([
    ['float32', [16, 9, 3, 3], 0.5, 'bitmap'],
    ['float32', [16, 9, 3, 3], 0.05, 'gaps'],
    ['float32', [8192, 3], 0.001, 'gaps'],
    ['float32', [31, 37], 0.02, 'gaps'],
    ['float32', [7, 11, 49], 0.4, 'bitmap'],
    ['float16', [64, 64], 0.5, 'bitmap'],
    ['float64', [40, 50], 0.5, 'bitmap'],
    ['int8', [96, 64], 0.5, 'bitmap'],
    ['uint8', [96, 64], 0.04, 'gaps'],
    ['int16', [80, 64], 0.4, 'bitmap'],
    ['uint16', [80, 64], 0.4, 'bitmap'],
    ['int32', [10, 100], 0.1, 'gaps'],
    ['int64', [10, 100], 0.1, 'gaps'],
  ])(
    'of %s %j, %d of it left, is stored as %s and loads as it was',
    async (dtype, dims, share, layout) => {
      const tensor = holey(dtype, dims, share)
      const model = modelWith(tensor)
      const dense = serializeModel(model)
      expect(packZeros(model)).toBe(1)
      expect(packedOf(weightOf(model))?.layout).toBe(layout)
      const bytes = serializeModel(model)
      expect(bytes.length).toBeLessThan(dense.length)
      const again = parseModel(bytes)
      expect(again.graph.nodes.map(({ opType }) => opType)).toEqual(
        model.graph.nodes.map(({ opType }) => opType),
      )
      expect(weightOf(again)).toMatchObject({ dtype, dims })
      expect(Buffer.compare(weightOf(again).bytes, tensor.bytes)).toBe(0)
      expect(Buffer.compare(serializeModel(again), bytes)).toBe(0)
      expect(Buffer.compare(serializeModel(cloneModel(again)), bytes)).toBe(0)
      // ONNX Runtime knows nothing of this and gives the same.
      const expected = await run(dense, 'cpu')
      for (const provider of ['cpu', 'wasm'] as const)
        expect(Buffer.compare(await run(bytes, provider), expected)).toBe(0)
      expect(Buffer.compare(serializeModel(again, { dense: true }), dense)).toBe(0)
      unpackZeros(again)
      expect(Buffer.compare(serializeModel(again), dense)).toBe(0)
    },
  )

  it('stays in the file of the model where others get a file beside it', async () => {
    const model = modelWith(holey('float32', [64, 64], 0.1))
    const x = model.graph.outputs[0]!
    const g = build(model.graph)
    g.output('z', g.Add(x, holey('float32', [64, 64], 0.97)), { dtype: 'float32' })
    packZeros(model)
    const path = join(folder, 'model.onnx')
    await saveModel(model, path, { externalData: true })
    // One tensor from the start of a page.
    expect(statSync(`${path}.data`).size).toBe(64 * 64 * 4)
    const again = await loadModel(path)
    expect(Buffer.compare(serializeModel(again), serializeModel(model))).toBe(0)
  })

  it('keeps minus zero', () => {
    const values = new Float32Array(1000)
    values[7] = -0
    const model = modelWith(tensorOf('float32', [1000], values))
    packZeros(model)
    const again = parseModel(serializeModel(model))
    expect(Object.is(elements(weightOf(again), 'float32')[7], -0)).toBe(true)
  })

  it('may have zeros alone', async () => {
    const model = modelWith(tensorOf('float32', [3, 500], new Float32Array(1500)))
    expect(packZeros(model)).toBe(1)
    const bytes = serializeModel(model)
    expect(weightOf(parseModel(bytes)).bytes).toEqual(new Uint8Array(6000))
    for (const provider of ['cpu', 'wasm'] as const)
      expect((await run(bytes, provider)).every((byte) => byte === 0)).toBe(true)
  })

  it.each<[string, Model]>([
    ['has few zeros', modelWith(holey('float32', [1000], 0.99))],
    ['is small', modelWith(holey('float32', [100], 0.1))],
    ['is in an opset before CumSum', modelWith(holey('float32', [4000], 0.1), 10)],
    [
      'is of elements of half a byte',
      modelWith(new Tensor('int4', [20_000], new Uint8Array(10_000))),
    ],
    [
      'is an input with a default',
      (() => {
        const model = modelWith(holey('float32', [4000], 0.1))
        model.graph.inputs.push(...model.graph.initializers)
        return model
      })(),
    ],
  ])('stays dense where it %s', (_, model) => {
    expect(packZeros(model)).toBe(0)
  })

  it('has values of its own although others share names and constants', async () => {
    const { model, g } = newModel('several', 13)
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    const names = ['w', 'w/Cast', 'w/constant', 'w_1']
    const values = names.map((name, index) =>
      g.constant(holey('float32', [10 + index, 100], index % 2 ? 0.5 : 0.05), name),
    )
    for (const [index, value] of values.entries()) g.output(`y${index}`, g.Add(value, x))
    expect(packZeros(model)).toBe(4)
    const bytes = serializeModel(model)
    const again = parseModel(bytes)
    expect(Buffer.compare(serializeModel(again), bytes)).toBe(0)
    const feeds = { x: tensorOf('float32', [1], [0]) }
    const outputs = await withSession(bytes, {}, (session) => session.run(feeds))
    for (const [index, value] of values.entries()) {
      const { bytes: expected } = value.tensor!
      expect(Buffer.compare(outputs[`y${index}`]!.bytes, expected)).toBe(0)
      const read = [...again.graph.initializers].find(({ name }) => name === value.name)
      expect(Buffer.compare(read!.tensor!.bytes, expected)).toBe(0)
    }
  })
})

describe('operators that look like a packed tensor', () => {
  interface Parts {
    gaps?: number[]
    values?: number[]
    size?: number
    dims?: number[]
    axis?: number
  }
  const bytesOf = ({
    gaps = [0, 1],
    values = [5, 7],
    size = 6,
    dims = [2, 3],
    axis = 0,
  }: Parts) => {
    const { model, g } = newModel('by hand', 13)
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    const zeros = g.node('ConstantOfShape', [[size]])[0]
    const steps = g.constant(tensorOf('uint8', [gaps.length], gaps))
    const at = g.CumSum(g.Cast(steps, { to: 6 }), tensorOf('int64', [], [axis]))
    const stored = tensorOf('float32', [values.length], values)
    const w = g.Reshape(g.ScatterElements(zeros, at, stored, { axis: 0 }), dims)
    g.output('y', g.Add(w, x), { dtype: 'float32' })
    return serializeModel(model)
  }

  it('are one', () => {
    const { graph } = parseModel(bytesOf({ gaps: [1, 4] }))
    expect(graph.nodes.map(({ opType }) => opType)).toEqual(['Add'])
    expect([...elements([...graph.initializers][0]!.tensor!, 'float32')]).toEqual([
      0, 5, 0, 0, 0, 7,
    ])
  })

  it.each<[string, Parts, RegExp]>([
    [
      'an index outside the tensor',
      { gaps: [1, 5] },
      /^bad\.onnx: not a valid ONNX model: packed tensor 'Reshape_output' has an index that does not fit its values — [^\n]*$/,
    ],
    ['two values at one place', { gaps: [2, 0] }, /has an index that does not fit/],
    ['more values than the index has', { values: [1, 2, 3] }, /has an index that does not fit/],
    ['fewer', { values: [1] }, /has an index that does not fit/],
    [
      'a huge dense form',
      { size: 2 ** 40, dims: [2 ** 20, 2 ** 20] },
      /cannot be made dense: float32 \[1048576,1048576\]/,
    ],
  ])('are refused with %s', (_, parts, message) => {
    expect(() => parseModel(bytesOf(parts), 'bad.onnx')).toThrow(message)
  })

  it.each<[string, Parts]>([
    ['another size', { size: 7 }],
    ['a size that follows', { dims: [-1, 3] }],
    ['another axis', { axis: 1 }],
  ])('are left as they are with %s', (_, parts) => {
    expect(parseModel(bytesOf(parts)).graph.nodes).toHaveLength(6)
  })

  it('are left as they are where something else uses a part', () => {
    const model = parseModel(bytesOf({ axis: 1 }))
    const cast = model.graph.nodes.find(({ opType }) => opType === 'Cast')!
    build(model.graph).output('z', cast.output(), { dtype: 'int32' })
    expect(parseModel(serializeModel(model)).graph.nodes.length).toBeGreaterThan(5)
  })
})
