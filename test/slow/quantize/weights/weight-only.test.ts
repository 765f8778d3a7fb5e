import { describe, expect, it } from '@jest/globals'
import { random } from '../../../../base/random.ts'
import type { Dataset } from '../../../../data/dataset.ts'
import { packBits } from '../../../../onnx/bits.ts'
import { newModel } from '../../../../onnx/build.ts'
import { cloneModel } from '../../../../onnx/clone.ts'
import { allNodes, type Graph, type Model } from '../../../../onnx/graph.ts'
import { loadModel, parseModel } from '../../../../onnx/load.ts'
import { serializeModel } from '../../../../onnx/save.ts'
import { elements, type Tensor, tensorOf } from '../../../../onnx/tensor.ts'
import { foldConstants } from '../../../../runtime/fold.ts'
import { withSession } from '../../../../runtime/session.ts'
import { quantize } from '../../../../stages/quantize/index.ts'
import { awq } from '../../../../stages/quantize/weights/awq.ts'
import {
  type BlockWeights,
  dequantized,
  roundToNearest,
  type WeightMatrix,
} from '../../../../stages/quantize/weights/blocks.ts'
import { outputError } from '../../../../stages/quantize/weights/errors.ts'
import { gptq } from '../../../../stages/quantize/weights/gptq.ts'
import { hqq, shrinkingError } from '../../../../stages/quantize/weights/hqq.ts'
import {
  contextOf,
  firstSample,
  operatorsOf,
  quantized,
  runOnce,
  samplesOf,
  weights,
} from '../../../stages/quantize/support.ts'
import { temporaryFolder } from '../../../support/folder.ts'
import { datasetOf } from '../../../support/samples.ts'
import { itWithShared, sharedModel } from '../../../support/shared.ts'

const options = (given: object) =>
  quantize.options.safeParse({ stage: 'quantize', scheme: 'weight-only', ...given })

/** One layer without a bias: y = x W. */
function layer(kind: 'MatMul' | 'Gemm' | 'transposed' | 'Conv', weight: Tensor): Model {
  const { model, g } = newModel('layer', 17)
  const shape =
    kind === 'Conv'
      ? ['N', weight.dims[1]!, 6, 6]
      : ['N', kind === 'transposed' ? weight.dims[1]! : weight.dims[0]!]
  const x = g.input('x', { dtype: 'float32', shape })
  const y =
    kind === 'Conv'
      ? g.Conv(x, weight, weights([weight.dims[0]!], 'b'))
      : kind === 'MatMul'
        ? g.MatMul(x, weight)
        : g.Gemm(x, weight, weights([kind === 'Gemm' ? weight.dims[1]! : weight.dims[0]!], 'b'), {
            transB: kind === 'transposed' ? 1 : 0,
          })
  g.output('y', y, { dtype: 'float32' })
  return model
}

/** The matrix `[outputs, inputs]` of a weight `[inputs, outputs]`. */
const upright = ({ dims }: Tensor, values: Float32Array) => {
  const [inputs, outputs] = dims as [number, number]
  return Float32Array.from(
    { length: inputs * outputs },
    (_, at) => values[(at % inputs) * outputs + Math.floor(at / inputs)]!,
  )
}

/** What ONNX Runtime makes of the weights of a model of one matrix: its answer to the identity, without optimizing. */
async function weightsIn(
  model: Model,
  inputs: number,
  provider: 'cpu' | 'wasm',
): Promise<Float32Array> {
  const identity = Float32Array.from({ length: inputs ** 2 }, (_, at) =>
    at % (inputs + 1) === 0 ? 1 : 0,
  )
  return withSession(model, { provider, optimization: 'disabled' }, async (session) => {
    const { y } = await session.run({ x: tensorOf('float32', [inputs, inputs], identity) })
    return elements(y!, 'float32')
  })
}

/** How like the answers of two models to a sample are. */
async function cosine(one: Model, other: Model, data: Dataset): Promise<number> {
  const [a, b] = await Promise.all([one, other].map((model) => runOnce(model, firstSample(data))))
  const dot = (x: Float32Array, y: Float32Array) =>
    x.reduce((sum, value, at) => sum + value * y[at]!, 0)
  return dot(a!, b!) / Math.sqrt(dot(a!, a!) * dot(b!, b!))
}

describe('weights in blocks', () => {
  const cases = [8, 4, 2].flatMap((bits) =>
    (['matmul-nbits', 'qdq'] as const).flatMap((form) =>
      (bits === 4 ? [20, 70] : [70]).map((inputs) => [bits, form, inputs] as const),
    ),
  )

  it.each(cases)(
    'of %d bits as %s of %d inputs are what they mean, bit for bit',
    async (bits, form, inputs) => {
      const weight = weights([inputs, 9], 'w')
      const float = layer('MatMul', weight)
      const { model } = await quantized(float, { scheme: 'weight-only', bits, form })
      expect(operatorsOf(model)).toEqual(
        form === 'qdq' ? { DequantizeLinear: 1, Transpose: 1, MatMul: 1 } : { MatMulNBits: 1 },
      )
      const matrix: WeightMatrix = {
        rows: 9,
        columns: inputs,
        values: upright(weight, elements(weight, 'float32')),
      }
      const expected = dequantized(
        roundToNearest(matrix, { bits: bits as 8 | 4 | 2, block: inputs > 32 ? 32 : inputs }),
      )
      for (const provider of ['cpu', 'wasm'] as const) {
        const found = upright(weight, await weightsIn(model, inputs, provider))
        expect([...found]).toEqual([...expected].map((value) => value + 0))
      }
      // It survives being written and read.
      const bytes = serializeModel(model)
      expect(Buffer.compare(serializeModel(parseModel(bytes)), bytes)).toBe(0)
    },
  )

  it.each(['MatMul', 'Gemm', 'transposed', 'Conv'] as const)('stay close for %s', async (kind) => {
    const dims = kind === 'Conv' ? [8, 16, 3, 3] : kind === 'transposed' ? [24, 64] : [64, 24]
    const float = layer(kind, weights(dims, 'w'))
    const data = samplesOf(kind === 'Conv' ? [16, 6, 6] : [64])
    for (const form of ['qdq', 'matmul-nbits'] as const)
      for (const bits of [8, 4]) {
        const { model } = await quantized(float, { scheme: 'weight-only', bits, form })
        expect(await cosine(model, float, data)).toBeGreaterThan(0.98)
        expect(serializeModel(model).length).toBeLessThan(serializeModel(float).length)
      }
  })

  it('take the bytes that they have bits', async () => {
    const float = layer('MatMul', weights([256, 128], 'w'))
    const dense = serializeModel(float).length
    for (const [bits, block, most] of [
      [8, 32, 0.3],
      [4, 32, 0.17],
      [2, 64, 0.09],
    ] as const) {
      const { model } = await quantized(float, { scheme: 'weight-only', bits, block })
      expect(serializeModel(model).length / dense).toBeLessThan(most)
    }
  })

  it('are stored once where layers share them, and excluded layers keep theirs', async () => {
    const { model: float, g } = newModel('shared', 21)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 64] })
    const w = g.constant(weights([64, 64], 'w'), 'w')
    let y = x
    for (const name of ['a', 'b', 'c']) y = g.node('MatMul', [y, w], { name })[0]!
    g.output('y', y, { dtype: 'float32' })
    for (const form of ['qdq', 'matmul-nbits'] as const) {
      const { model } = await quantized(float, { scheme: 'weight-only', form, exclude: ['c'] })
      const { MatMulNBits = 0, DequantizeLinear = 0, MatMul = 0 } = operatorsOf(model)
      expect(MatMulNBits + DequantizeLinear).toBe(2)
      expect(MatMul).toBe(form === 'qdq' ? 3 : 1)
      const large = [...model.graph.initializers].filter(({ tensor }) => tensor!.byteLength > 1000)
      expect(large.map(({ tensor }) => tensor!.byteLength).sort((a, b) => a - b)).toEqual([
        2048, 16384,
      ])
    }
  })

  it('refuses what does not go together', async () => {
    expect(options({ bits: 3 }).error?.issues[0]?.message).toMatch(/is 8, 4 or 2/)
    expect(options({ samples: 4 }).error?.issues[0]?.message).toMatch(/'gptq' and 'awq'/)
    for (const algorithm of ['awq', undefined])
      expect(options({ algorithm, order: 'stored' }).error?.issues[0]?.message).toMatch(
        /goes with the algorithm 'gptq'/,
      )
    expect(options({ shared: 'channel' }).error?.issues[0]?.message).toMatch(/does not go with/)
    const float = layer('MatMul', weights([64, 8], 'w'))
    await expect(quantized(float, { scheme: 'weight-only', algorithm: 'gptq' })).rejects.toThrow(
      /^algorithm: 'gptq' needs calibration data: there is none — name the data/,
    )
    const { model: empty, g } = newModel('empty', 17)
    g.output('y', g.Relu(g.input('x', { dtype: 'float32', shape: ['N', 4] })), { dtype: 'float32' })
    await expect(quantized(empty, { scheme: 'weight-only' })).rejects.toThrow(
      /there is nothing to quantize/,
    )
  })

  it('puts integers into bytes, the first into the lowest bits', () => {
    expect([...packBits(Uint8Array.of(1, 2, 15), 4)]).toEqual([0x21, 0x0f])
    expect([...packBits(Uint8Array.of(3, 0, 1, 2, 1), 2)]).toEqual([0b10_01_00_11, 1])
  })

  it('keeps weights that are all zero', () => {
    const matrix = { rows: 1, columns: 16, values: new Float32Array(16) }
    for (const round of [roundToNearest, hqq])
      expect([...dequantized(round(matrix, { bits: 4, block: 16 }))]).toEqual([...matrix.values])
  })
})

/** Correlated inputs, a few of which are large, and weights with outliers. */
function problem() {
  const { normal } = random(9, 'problem')
  const [rows, columns, count] = [24, 96, 400]
  const values = Float32Array.from(
    { length: rows * columns },
    () => normal() * (normal() > 2.5 ? 5 : 1),
  )
  const mix = Float64Array.from({ length: columns * 12 }, () => normal())
  const moments = new Float64Array(columns ** 2)
  for (let sample = 0; sample < count; sample++) {
    const hidden = Array.from({ length: 12 }, () => normal())
    const x = Float64Array.from({ length: columns }, (_, column) => {
      const shared = hidden.reduce((sum, value, at) => sum + value * mix[column * 12 + at]!, 0)
      return (shared + 0.3 * normal()) * (column % 16 === 5 ? 8 : 1)
    })
    for (let one = 0; one < columns; one++)
      for (let other = 0; other < columns; other++)
        moments[one * columns + other]! += x[one]! * x[other]!
  }
  return { matrix: { rows, columns, values } satisfies WeightMatrix, moments }
}

/** A recurrence with weights of its own, and what multiplies them; `width` is no multiple of a block. */
function recurrence(
  opType: 'LSTM' | 'GRU' | 'RNN',
  directions: 1 | 2,
  change: (weights: Tensor) => Tensor = (tensor) => tensor,
): Model {
  const [width, hidden] = [40, 48]
  const gates = { LSTM: 4, GRU: 3, RNN: 1 }[opType]
  const { model, g } = newModel('recurrence', 17)
  const x = g.input('x', { dtype: 'float32', shape: ['T', 'N', width] })
  const matrix = (columns: number, label: string) =>
    g.constant(change(weights([directions, gates * hidden, columns], label, 0.2)), label)
  const outputs = g.node(
    opType,
    [x, matrix(width, 'w'), matrix(hidden, 'r'), weights([directions, 2 * gates * hidden], 'b')],
    {
      name: 'memory',
      outputs: 2,
      attributes: { hidden_size: hidden, ...(directions === 2 && { direction: 'bidirectional' }) },
    },
  )
  g.output('y', g.Identity(outputs[0]!), { dtype: 'float32' })
  return model
}

describe('recurrences', () => {
  const cases = [
    ['LSTM', 1, 8],
    ['LSTM', 2, 4],
    ['GRU', 2, 8],
    ['GRU', 1, 2],
    ['RNN', 1, 4],
    ['RNN', 2, 2],
  ] as const
  const x = weights([5, 2, 40], 'x', 1)
  const answer = (model: Model, provider: 'cpu' | 'wasm') =>
    withSession(model, { provider }, async (session) => (await session.run({ x })).y!)

  it.each(cases)(
    '%s of %d directions computes what its weights of %d bits say, bit for bit',
    async (opType, directions, bits) => {
      const float = recurrence(opType, directions)
      const rounded = recurrence(opType, directions, (tensor) => {
        const [own, rows, columns] = tensor.dims as [number, number, number]
        const values = elements(tensor, 'float32')
        const matrix = { rows: own * rows, columns, values }
        return tensorOf(
          'float32',
          tensor.dims,
          dequantized(roundToNearest(matrix, { bits, block: 32 })),
        )
      })
      for (const form of ['qdq', 'matmul-nbits'] as const) {
        const { model, facts } = await quantized(float, { scheme: 'weight-only', bits, form })
        expect(facts.summary).toMatch(new RegExp(`^weight-only, rtn: 1 layers in ${bits} bits`))
        const made = form === 'qdq' ? { DequantizeLinear: 2 } : { Cast: 4, Sub: 2, Mul: 2 }
        expect(operatorsOf(model)).toMatchObject({ ...made, [opType]: 1 })
        for (const provider of ['cpu', 'wasm'] as const) {
          const [expected, found] = await Promise.all(
            [rounded, model].map(async (each) => elements(await answer(each, provider), 'float32')),
          )
          expect(found).toEqual(expected)
        }
        const share = serializeModel(model).length / serializeModel(float).length
        // Rows of 40 and 48 inputs are filled up to blocks of 32 where they are folded.
        expect(share).toBeLessThan((form === 'qdq' ? 1 : 64 / 44) * (bits / 32) + 0.13)
      }
    },
  )

  it.each([8, 4, 2] as const)(
    'of %d bits become floats once, when the file is opened, inside branches too',
    async (bits) => {
      const { model, g } = newModel('branches', 17)
      const x = g.input('x', { dtype: 'float32', shape: ['N', 4, 8, 8] })
      const made = (label: string): Graph => {
        const { model: branch, g: b } = newModel(label, 17)
        const image = b.Conv(x, weights([8, 4, 3, 3], 'shared'), { pads: [1, 1, 1, 1] })
        const steps = b.Reshape(image, [8, -1, 64])
        b.output(
          `${label}-y`,
          b.node('GRU', [steps, weights([1, 96, 64], 'w'), weights([1, 96, 32], label)], {
            attributes: { hidden_size: 32 },
          })[0]!,
          { dtype: 'float32' },
        )
        return branch.graph
      }
      const condition = g.Greater(g.ReduceMax(x, { keepdims: 0 }), 0)
      const attributes = { then_branch: made('then'), else_branch: made('else') }
      g.output('y', g.node('If', [condition], { attributes })[0]!, { dtype: 'float32' })
      const { model: result } = await quantized(model, { scheme: 'weight-only', bits })
      const optimizedFile = `${temporaryFolder()}/optimized.onnx`
      await withSession(result, { optimizedFile }, async () => undefined)
      const { graph } = await loadModel(optimizedFile)
      const left = [...allNodes(graph)].map(({ opType }) => opType)
      expect(left).toContain('GRU')
      expect(left.filter((opType) => /Cast|Sub|Mul|Dequantize/.test(opType))).toEqual([])
    },
  )

  it('are kept as they are by what folds constants, and known to be quantized', async () => {
    const float = recurrence('LSTM', 1)
    const { model } = await quantized(float, { scheme: 'weight-only', bits: 8 })
    const before = serializeModel(model).length
    const folded = cloneModel(model)
    await foldConstants(folded)
    expect(serializeModel(folded).length).toBeLessThan(1.05 * before)
    await expect(quantized(model, { scheme: 'weight-only' })).rejects.toThrow(
      /it is quantized already: it has Cast/,
    )
    const kept = await quantized(model, { scheme: 'weight-only', quantized: 'keep' })
    expect(kept.model).toBe(model)
  })

  it('stay as they are where they are excluded', async () => {
    const { model: float, g } = newModel('both', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['T', 'N', 40] })
    const [, last] = g.node('GRU', [x, weights([1, 144, 40], 'w'), weights([1, 144, 48], 'r')], {
      name: 'memory',
      outputs: 2,
      attributes: { hidden_size: 48 },
    })
    g.output('y', g.MatMul(last!, weights([48, 8], 'm')), { dtype: 'float32' })
    const options = { scheme: 'weight-only', bits: 8, form: 'qdq' } as const
    const kept = await quantized(float, { ...options, exclude: ['memory'] })
    expect(operatorsOf(kept.model)).toMatchObject({ GRU: 1, DequantizeLinear: 1 })
    const { model } = await quantized(float, options)
    expect(operatorsOf(model)).toMatchObject({ GRU: 1, DequantizeLinear: 3 })
  })

  it.each(['gptq', 'awq'] as const)(
    '%s measures what flows in, and says that the state is not measured',
    async (algorithm) => {
      const float = recurrence('GRU', 2)
      const mixing = elements(weights([40, 40], 'mixing', 1), 'float32')
      // Steps of a sample that are mixtures of few numbers, so that errors can make up for each other.
      const data = datasetOf({
        source: 'mixed',
        shape: [3, 40],
        classes: ['0', '1'],
        labels: new Int32Array(64),
        write(index, into) {
          const { normal } = random(7, index)
          const hidden = Array.from({ length: 4 }, () => normal())
          for (let place = 0; place < into.length; place++)
            into[place] = hidden.reduce(
              (sum, value, at) => sum + value * mixing[at * 40 + (place % 40)]!,
              0.05 * normal(),
            )
        },
      })
      const options = { stage: 'quantize', scheme: 'weight-only', bits: 4 } as const
      const distances: number[] = []
      const logs: string[] = []
      for (const each of ['rtn', algorithm] as const) {
        const context = contextOf(float, data)
        const parsed = quantize.options.parse({ ...options, algorithm: each })
        const { model } = await quantize.run({ model: float, facts: {} }, parsed, context)
        distances.push(1 - (await cosine(model, float, data)))
        logs.push(...context.logs)
      }
      expect(logs).toContainEqual(
        'memory: weights of its state are rounded to nearest, because it is inside the node',
      )
      expect(distances[1]).toBeLessThan(distances[0]!)
    },
  )
})

describe('algorithms', () => {
  const { matrix, moments } = problem()
  const errorOf = (rounded: Float32Array) =>
    outputError(matrix, moments, (at) => rounded[at]! - matrix.values[at]!)

  it('know the error of outputs', () => {
    const small = { rows: 1, columns: 2 }
    // (1·3 + 2·5)² for x = (3, 5) and δ = (1, 2)
    const own = Float64Array.of(9, 15, 15, 25)
    expect(outputError(small, own, (at) => [1, 2][at]!)).toBeCloseTo(169)
  })

  it.each([8, 4, 2] as const)('of %d bits have smaller errors than rounding to nearest', (bits) => {
    const format = { bits, block: 32 }
    const plain = errorOf(dequantized(roundToNearest(matrix, format)))
    expect(errorOf(dequantized(gptq(matrix, moments, format)))).toBeLessThan(0.5 * plain)
    const aware = awq(
      { matrices: [matrix], moments: [moments], channels: 96, channelOf: (_, column) => column },
      format,
    )
    const rounded = dequantized(aware.weights[0] as BlockWeights)
    const unscaled = rounded.map((value, at) => value / aware.inputScales![at % 96]!)
    expect(errorOf(unscaled)).toBeLessThan(0.8 * plain)
  })

  it.each([4, 2] as const)('hqq of %d bits has a smaller sum of |error|^0.7', (bits) => {
    const format = { bits, block: 64 }
    const [plain, found] = [roundToNearest(matrix, format), hqq(matrix, format)].map((own) => {
      const rounded = dequantized(own)
      return shrinkingError(matrix.values, (at) => rounded[at]!)
    }) as [number, number]
    expect(found).toBeLessThan(0.98 * plain)
  })

  it.each([8, 4, 2] as const)('gptq of %d bits gains by taking large inputs first', (bits) => {
    const format = { bits, block: 32 }
    const [stored, activation] = (['stored', 'activation'] as const).map((order) =>
      gptq(matrix, moments, format, order),
    ) as [BlockWeights, BlockWeights]
    expect(errorOf(dequantized(activation))).toBeLessThan(errorOf(dequantized(stored)))
    // Blocks are of neighbours whatever the order.
    expect(activation.scales).toEqual(stored.scales)
    expect(activation.zeroPoints).toEqual(stored.zeroPoints)
  })

  it('gptq by activation does not mind how inputs lie, and takes equal ones as they lie', () => {
    const { rows, columns, values } = matrix
    const format = { bits: 4, block: 128 } as const
    const from = random(4, 'shuffle').permutation(columns)
    const shuffled = values.map(
      (_, at) => values[Math.floor(at / columns) * columns + from[at % columns]!]!,
    )
    const own = moments.map(
      (_, at) => moments[from[Math.floor(at / columns)]! * columns + from[at % columns]!]!,
    )
    const codes = gptq(matrix, moments, format, 'activation').codes
    const other = gptq({ rows, columns, values: shuffled }, own, format, 'activation').codes
    expect([...other]).toEqual(
      [...other].map((_, at) => codes[Math.floor(at / columns) * columns + from[at % columns]!]),
    )
    const equal = moments.map((moment, at) => (at % (columns + 1) === 0 ? 1e6 : moment))
    expect(gptq(matrix, equal, format, 'activation').codes).toEqual(
      gptq(matrix, equal, format, 'stored').codes,
    )
  })

  it('gptq needs no inputs that flow', () => {
    const format = { bits: 4, block: 32 } as const
    const nothing = new Float64Array(96 ** 2)
    expect(gptq(matrix, nothing, format).codes).toEqual(roundToNearest(matrix, format).codes)
  })

  it.each(['rtn', 'gptq', 'awq', 'hqq'] as const)(
    '%s goes through a network',
    async (algorithm) => {
      const { model: float, g } = newModel('net', 17)
      const x = g.input('x', { dtype: 'float32', shape: ['N', 4, 8, 8] })
      const first = g.Relu(g.Conv(x, weights([8, 4, 3, 3], 'w0'), weights([8], 'b0')))
      const second = g.Relu(g.Conv(first, weights([8, 1, 3, 3], 'w1'), { group: 8 }))
      const flat = g.Flatten(second)
      const hidden = g.Relu(g.Gemm(flat, weights([128, 40], 'w2'), weights([40], 'b2')))
      g.output('y', g.MatMul(hidden, weights([40, 5], 'w3')), { dtype: 'float32' })
      const data = correlated([4, 8, 8])
      for (const form of ['qdq', 'matmul-nbits'] as const) {
        const { facts, model } = await quantized(
          float,
          { scheme: 'weight-only', bits: 4, block: 16, algorithm, form },
          data,
        )
        expect(facts.summary).toMatch(new RegExp(`^weight-only, ${algorithm}: 4 layers in 4 bits`))
        expect(await cosine(model, float, data)).toBeGreaterThan(0.97)
        await withSession(model, { provider: 'wasm' }, async (session) => {
          expect(session.outputs).toHaveLength(1)
        })
      }
    },
  )
})

/** Samples whose elements have much in common. */
function correlated(shape: readonly number[]): Dataset {
  return datasetOf({
    source: 'correlated',
    shape,
    classes: ['0', '1'],
    labels: new Int32Array(64),
    write(index, into) {
      const { normal } = random(7, index)
      const shared = normal()
      for (let place = 0; place < into.length; place++) into[place] = shared + 0.5 * normal()
    },
  })
}

describe('real models', () => {
  itWithShared.each([
    ...['keras-tract-example.onnx', 'mnist-8-ortweb.onnx', 'optimum-test-asset.onnx'],
    'byte-sb-bidi-lstm.onnx',
  ])(
    '%s is close with weights in 8 bits',
    async (file) => {
      const float = await loadModel(sharedModel(file))
      const { model, facts } = await quantized(float, { scheme: 'weight-only', bits: 8 })
      expect(Number(/cosine ([\d.]+)/.exec(facts.summary!)?.[1])).toBeGreaterThan(0.99)
      await withSession(serializeModel(model), { provider: 'wasm' }, async (session) => {
        expect(session.outputs.length).toBeGreaterThan(0)
      })
    },
    60_000,
  )
})
