// Running models over many samples: whatever their inputs, outputs and batches are, a sample's row is its own.
import { describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../base/errors.ts'
import { random } from '../../base/random.ts'
import type { Samples } from '../../base/samples.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { dataTypes, numbers, tensorOf } from '../../onnx/tensor.ts'
import { type Predictions, predict, predictEach } from '../../runtime/predict.ts'
import { withSession } from '../../runtime/session.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { type Content, counting, samplesOf } from './samples.ts'

const rowsOf = ({ size, row }: Predictions) =>
  Array.from({ length: size }, (_, index) => [...row(index)])

/** A model whose only input is `x`, `[N, 2]` unless told. */
function modelOf(
  write: (g: Builder, x: Value) => void,
  shape: readonly (number | string)[] = ['N', 2],
) {
  const { model, g } = newModel('m')
  write(g, g.input('x', { dtype: 'float32', shape }))
  return model
}

const float = (...shape: (number | string)[]) => ({ dtype: 'float32' as const, shape })
const five = samplesOf([counting('x', 'float32', [2], 5)])
const sums = [[1], [5], [9], [13], [17]]
const sum = (g: Builder, x: Value) =>
  void g.output('y', g.ReduceSum(x, [1], { keepdims: 1 }), float('N', 1))

describe('batches', () => {
  it.each([1, 2, 3, 5, 64])('of %i samples give what single samples give', async (batch) => {
    const seen: number[] = []
    const progress = (samples: number) => void seen.push(samples)
    const found = await predict(modelOf(sum), five, { batch, progress })
    expect(rowsOf(found)).toEqual(sums)
    expect(seen.reduce((total, count) => total + count)).toBe(5)
    expect(Math.max(...seen)).toBe(Math.min(batch, 5))
  })

  it.each([1, 2, 4, 8])('fixed at %i give the same, the last one partly filled', async (size) => {
    const found = await predict(modelOf(sum, [size, 2]), five)
    expect(rowsOf(found)).toEqual(sums)
  })

  it('of no samples at all are none', async () => {
    const { size, outputs } = await predict(modelOf(sum), { ...five, size: 0 })
    expect([size, outputs.length]).toEqual([0, 0])
  })

  it('end when they are told to', async () => {
    const signal = AbortSignal.abort()
    await expect(predict(modelOf(sum), five, { signal })).rejects.toThrow(Interrupted)
  })
})

describe('outputs', () => {
  const several = modelOf((g, x) => {
    sum(g, x)
    g.output('i', g.Cast(x, { to: 7 }), { dtype: 'int64', shape: ['N', 2] })
    g.output('b', g.Greater(x, 4), { dtype: 'bool', shape: ['N', 2] })
  })

  it('are the first one unless told', async () => {
    expect((await predict(several, five)).widths).toEqual([1])
  })

  it('stand side by side where all are asked for, integers too', async () => {
    const found = await predict(several, five, { outputs: 'all', batch: 2 })
    expect(found.widths).toEqual([1, 2, 2])
    expect(rowsOf(found)).toEqual(
      [0, 1, 2, 3, 4].map((n) => [
        ...[4 * n + 1, 2 * n, 2 * n + 1],
        ...[Number(2 * n > 4), Number(2 * n + 1 > 4)],
      ]),
    )
  })

  it.each([
    ['fixed', float(2, 'N')],
    ['the samples', float('T', 'N')],
    ['unknown', { dtype: 'float32' as const }],
  ])('whose first axis is not the samples: %s', async (_, type) => {
    const model = modelOf((g, x) => void g.output('y', g.Transpose(x, { perm: [1, 0] }), type))
    const odd = samplesOf([counting('x', 'float32', [2], 5)])
    const found = await predict(model, odd)
    expect(rowsOf(found)).toEqual([0, 1, 2, 3, 4].map((n) => [2 * n, 2 * n + 1]))
  })

  it('that flatten the samples into the first axis are still told apart', async () => {
    const model = modelOf((g, x) => void g.output('y', g.Reshape(x, [-1, 1]), float('M', 1)))
    expect(rowsOf(await predict(model, five, { batch: 3 }))).toEqual(
      [0, 1, 2, 3, 4].map((n) => [2 * n, 2 * n + 1]),
    )
  })

  it('of a fixed batch without a row for each sample are refused', async () => {
    const model = modelOf(
      (g, x) => void g.output('y', g.ReduceSum(x, [0], { keepdims: 1 })),
      [4, 2],
    )
    await expect(predict(model, five, { where: 'm.onnx' })).rejects.toThrow(
      'm.onnx: an output [1,2] has no row for each of 4 samples — ',
    )
  })

  it('that are as large as their content are refused', async () => {
    const model = modelOf((g, x) => {
      const [found] = g.node('NonZero', [g.Greater(x, 3)])
      g.output('y', g.Transpose(found!, { perm: [1, 0] }))
    })
    await expect(predict(model, five, { batch: 1, where: 'm.onnx' })).rejects.toThrow(
      /^m\.onnx: its outputs have 0 numbers for one sample and 4 for sample 3 — /,
    )
  })
})

describe('inputs', () => {
  it('of several types, with a constant', async () => {
    const { model, g } = newModel('m')
    const ids = g.input('ids', { dtype: 'int64', shape: ['N', 'T'] })
    const mask = g.input('mask', { dtype: 'bool', shape: ['N', 'T'] })
    const half = g.input('half', { dtype: 'float16', shape: ['N', 2] })
    const byte = g.input('byte', { dtype: 'uint8', shape: ['N', 2] })
    const scale = g.input('scale', { dtype: 'float32', shape: [1] })
    const parts = [ids, mask, half, byte].map((value) => g.Cast(value, { to: 1 }))
    g.output('y', g.Mul(g.Concat(...parts, { axis: 1 }), scale), float('N', 8))
    const values = [
      [1, 2],
      [3, 4],
      [5, 6],
    ]
    const column = (name: string, dtype: Content['dtype']): Content => ({
      ...{ name, dtype, shape: [2], values },
    })
    const samples = samplesOf(
      [column('ids', 'int32'), column('half', 'float32'), column('byte', 'uint8')],
      { mask: { column: 'ids' }, scale: { constant: 10 } },
    )
    expect(rowsOf(await predict(model, samples, { batch: 2 }))).toEqual(
      values.map(([a, b]) => [a! * 10, b! * 10, 10, 10, a! * 10, b! * 10, a! * 10, b! * 10]),
    )
  })

  it('carried along stay out of the outputs; each of the others stands step by step', async () => {
    const { model, g } = newModel('m')
    const x = g.input('x', float('N', 2))
    const s = g.input('s', float('N', 1))
    const y = g.Add(g.ReduceSum(x, [1], { keepdims: 1 }), g.Mul(s, 0.5))
    g.output('next', g.Identity(y), float('N', 1))
    g.output('y', y, float('N', 1))
    g.output('z', g.Neg(y), float('N', 1))
    const samples = samplesOf([counting('wave', 'float32', [6], 5)], {
      x: { column: 'wave', chunk: 2 },
      s: { carry: 'next' },
    })
    const found = await predict(model, samples, { outputs: 'all', batch: 2 })
    expect(found.widths).toEqual([3, 3])
    const expected = [0, 6, 12, 18, 24].map((start) => {
      let state = 0
      const steps = [0, 2, 4].map((step) => {
        state = 2 * (start + step) + 1 + state / 2
        return state
      })
      return [...steps, ...steps.map((value) => -value)]
    })
    expect(rowsOf(found)).toEqual(expected)
    const wrong = { ...samples, inputs: { ...samples.inputs, s: { carry: 'nxt' } } }
    await expect(predict(model, wrong, { where: 'm' })).rejects.toThrow(
      "m: inputs: there is no output 'nxt' to carry",
    )
  })
})

/** Samples of seeded numbers; `most` makes them integers from 0 to one less. */
function seeded(
  name: string,
  dtype: Content['dtype'],
  shape: readonly number[],
  samples: number,
  most?: number,
): Content {
  const chance = random(7, name)
  const width = shape.reduce((product, dim) => product * dim, 1)
  const value = () => (most === undefined ? Math.fround(chance.normal() / 2) : chance.integer(most))
  return {
    ...{ name, dtype, shape },
    values: Array.from({ length: samples }, () => Array.from({ length: width }, value)),
  }
}

/** The rows of batches and those of samples that are run one at a time. */
async function together(path: string, samples: Samples, options = {}) {
  const whole = await predict(path, samples, options)
  const single = await predict(path, samples, { ...options, batch: 1 })
  const worst = whole.outputs.reduce(
    (most, value, at) => Math.max(most, Math.abs(value - single.outputs[at]!)),
    0,
  )
  return { whole, worst }
}

describe('real models', () => {
  itWithShared('a BERT takes ids and mask; what is masked does not matter', async () => {
    const ids = seeded('input_ids', 'int32', [12], 5, 200)
    const mask = {
      ...ids,
      name: 'attention_mask',
      values: ids.values.map((row, n) => row.map((_, place) => Number(place < 4 + n))),
    }
    const path = sharedModel('optimum-test-asset.onnx')
    const { whole, worst } = await together(path, samplesOf([mask, ids]))
    expect([whole.size, whole.width]).toEqual([5, 2])
    expect(worst).toBeLessThan(1e-5)
    const other = {
      ...ids,
      values: ids.values.map((row, n) => row.map((id, at) => (at < 4 + n ? id : 0))),
    }
    const masked = await predict(path, samplesOf([other, mask]))
    for (const [at, value] of masked.outputs.entries())
      expect(value).toBeCloseTo(whole.outputs[at]!, 5)
  })

  itWithShared('silero hears a wave chunk by chunk as a loop of its own does', async () => {
    const wave = seeded('wave', 'float32', [2048], 3)
    const samples = samplesOf([wave], {
      input: { column: 'wave', chunk: 512 },
      sr: { constant: 16000 },
      state: { carry: 'stateN' },
    })
    const path = sharedModel('silero-vad-op18-ifless.onnx')
    const found = await predict(path, samples, { outputs: 'all' })
    expect(found.widths).toEqual([4])
    const byHand = await withSession(path, {}, async (session) => {
      let state = tensorOf('float32', [2, 1, 128], new Float32Array(256))
      const row: number[] = []
      for (let start = 0; start < 2048; start += 512) {
        const chunk = wave.values[1]!.slice(start, start + 512)
        const { output, stateN } = await session.run({
          input: tensorOf('float32', [1, 512], Float32Array.from(chunk)),
          sr: tensorOf('int64', [], [16000]),
          state,
        })
        row.push(...numbers(output!))
        state = stateN!
      }
      return row
    })
    for (const [at, value] of byHand.entries()) expect(found.row(1)[at]).toBeCloseTo(value, 5)
  })

  itWithShared('vittrack takes two images and gives three outputs', async () => {
    const samples = samplesOf([
      seeded('template', 'float32', [3, 128, 128], 2),
      seeded('search', 'float32', [3, 256, 256], 2),
    ])
    const found = await predict(sharedModel('vittrack.onnx'), samples, { outputs: 'all' })
    expect(found.widths).toEqual([256, 512, 512])
    expect(String(found.row(0))).not.toBe(String(found.row(1)))
  })

  itWithShared('magika takes bytes as int32', async () => {
    const samples = samplesOf([seeded('bytes', 'int32', [2048], 3, 257)])
    const { whole, worst } = await together(sharedModel('magika-v3_3.onnx'), samples)
    expect(whole.width).toBe(214)
    expect(worst).toBeLessThan(1e-5)
    for (let index = 0; index < 3; index++)
      expect(whole.row(index).reduce((total, value) => total + value)).toBeCloseTo(1, 3)
  })
})

describe('handing over batch by batch', () => {
  it('uses one memory for all of them', async () => {
    const seen = new Set<ArrayBufferLike>()
    await withSession(modelOf(sum), {}, (session) =>
      predictEach(session, { ...five, size: 4 }, { batch: 2 }, (values, start, count, widths) => {
        expect([...values]).toEqual(sums.slice(start, start + count).flat())
        expect(widths).toEqual([1])
        seen.add(values.buffer)
      }),
    )
    expect(seen.size).toBe(1)
  })
})

it('gives outputs of half precision as numbers', async () => {
  const model = modelOf((g, x) => {
    const half = g.Cast(g.Mul(x, 0.25), { to: dataTypes.float16.code })
    g.output('y', half, { dtype: 'float16', shape: ['N', 2] })
  })
  expect(rowsOf(await predict(model, five)).slice(0, 2)).toEqual([
    [0, 0.25],
    [0.5, 0.75],
  ])
})
