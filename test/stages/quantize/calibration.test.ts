import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import type { Range } from '../../../stages/quantize/arithmetic.ts'
import { measureRanges } from '../../../stages/quantize/calibrate.ts'
import { readCalibration, writeCalibration } from '../../../stages/quantize/calibration-file.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { reading } from '../../support/samples.ts'
import { contextOf, samplesOf, weights } from './support.ts'

const shape = [3, 6, 6] as const

function modelOf(write: (g: Builder, x: Value) => Value, opset = 17): Model {
  const { model, g } = newModel('test', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  g.output('y', write(g, x), { dtype: 'float32' })
  return model
}

const conv = (g: Builder, x: Value, label: string) =>
  g.Conv(x, weights([4, label === 'a' ? 3 : 4, 3, 3], label), { pads: [1, 1, 1, 1] })

const twoLayers = () => modelOf((g, x) => conv(g, g.Relu(conv(g, x, 'a')), 'b'))

type Options = Parameters<typeof quantize.options.parse>[0]

async function run(model: Model, calibration: Options, context = contextOf(model)) {
  const options = quantize.options.parse({ stage: 'quantize', scheme: 'static', calibration })
  const { facts } = await quantize.run({ model, facts: {} }, options, context)
  return { facts, context }
}

const measuring = {
  threads: 1,
  where: 'model',
  share: 1,
  check: () => undefined,
  progress: () => undefined,
}

/** The range of the model's output on samples. */
async function outputRange(
  model: Model,
  method: 'minmax' | 'moving-average' | 'entropy',
  data = samplesOf(shape, 96),
): Promise<Range> {
  const [output] = model.graph.outputs
  const ranges = await measureRanges(model, [output!], data, { ...measuring, method })
  return ranges.get(output!)!
}

describe('measuring', () => {
  it.each(['minmax', 'entropy'] as const)(
    'sees one NaN among many numbers, by %s',
    async (method) => {
      // The operators of ONNX Runtime pass over it.
      const data = reading(samplesOf(shape), (index, into, offset) => {
        into.fill(1, offset, offset + 108)
        if (index === 3) into[offset + 50] = Number.NaN
      })
      const { min, max } = await outputRange(
        modelOf((g, x) => g.Relu(x)),
        method,
        data,
      )
      expect(Number.isFinite(min) || Number.isFinite(max)).toBe(false)
    },
  )

  it('takes the mean extremes of batches for a moving average', async () => {
    const data = reading(samplesOf(shape, 96), (index, into, offset) => {
      into.fill(index < 32 ? 1 : index < 64 ? 2 : 6, offset, offset + 108)
    })
    const model = modelOf((g, x) => g.Relu(x))
    expect(await outputRange(model, 'moving-average', data)).toEqual({ min: 3, max: 3 })
    expect(await outputRange(model, 'minmax', data)).toEqual({ min: 1, max: 6 })
  })
})

describe('measured ranges', () => {
  it('are kept, and measured again on other terms', async () => {
    const model = twoLayers()
    let read = 0
    const data = samplesOf(shape)
    const counted = {
      ...data,
      read: (...args: Parameters<typeof data.read>) => {
        read++
        data.read(...args)
      },
    }
    const context = contextOf(model, counted)
    const reads = async (calibration: Options) => {
      read = 0
      await run(model, calibration, context)
      return read
    }
    // The comparison of the result with its input reads samples each time.
    const first = await reads({ method: 'mse' })
    const compared = await reads({ method: 'mse' })
    expect(first).toBe(compared + 32)
    expect(await reads({ method: 'distribution' })).toBe(first)
    expect(await reads({ method: 'mse', samples: 8 })).toBe(compared + 8)
    expect(await reads({ method: 'mse' })).toBe(compared)
  })

  it('are written to a file, and read from one', async () => {
    const model = twoLayers()
    const save = join(temporaryFolder(), 'made/ranges.json')
    const measured = await run(
      model,
      { method: 'entropy', save },
      contextOf(model, samplesOf(shape)),
    )
    const { ranges } = readCalibration(save)
    expect([...ranges.keys()]).toContain('x')
    const given = await run(model, { file: save })
    expect(given.facts.summary).toMatch(/^static, ranges of a file \(entropy over 32 samples\): /)
    expect(measured.facts.summary).toMatch(/^static, entropy over 32 samples: /)
    const again = join(dirname(save), 'again.json')
    await run(model, { file: save, save: again })
    expect(readCalibration(again).ranges).toEqual(ranges)
  })

  it.each([
    ['{', /: is not JSON: .* — write ranges with calibration\.save$/],
    ['[]', /: no file of ranges: .* — write one with calibration\.save$/],
    [
      '{"format":"condense-calibration","measured":"","ranges":{"x":[2,1]}}',
      /: no file of ranges: ranges\.x: the first number must not be larger — /,
    ],
    [
      '{"format":"condense-calibration","measured":"","ranges":{"x":[0,1]}}',
      /: has no range of '.*' — measure this model/,
    ],
  ])('of a damaged file %s are refused', async (content, message) => {
    const file = join(temporaryFolder(), 'ranges.json')
    writeFileSync(file, content)
    await expect(run(twoLayers(), { file })).rejects.toThrow(message)
    await expect(run(twoLayers(), { file })).rejects.not.toThrow(/\n/)
  })

  it('are written so that people can read them', () => {
    const file = join(temporaryFolder(), 'ranges.json')
    writeCalibration(file, { measured: 'by hand', ranges: new Map([['x', { min: -1, max: 2 }]]) })
    expect(readFileSync(file, 'utf8')).toBe(
      '{\n  "format": "condense-calibration",\n  "measured": "by hand",\n  "ranges": {\n    "x": [-1,2]\n  }\n}\n',
    )
  })
})

describe('bad calibration data', () => {
  it('with NaN is refused', async () => {
    const model = twoLayers()
    const data = reading(samplesOf(shape), (_index, into, offset) => {
      into[offset] = Number.NaN
    })
    await expect(run(model, {}, contextOf(model, data))).rejects.toThrow(
      /^model: '.*' is not finite on the calibration data: NaN … NaN — check the data/,
    )
  })

  it('without samples is refused', async () => {
    const model = twoLayers()
    await expect(run(model, {}, contextOf(model, samplesOf(shape, 0)))).rejects.toThrow(
      /^model: there is no calibration data: it has no samples — /,
    )
    await expect(run(model, { from: 'data' })).rejects.toThrow(
      /^model: there is no calibration data: none is given — /,
    )
  })

  it('of zeros alone works, and is told', async () => {
    const model = twoLayers()
    const data = reading(samplesOf(shape), (_index, into, offset) => {
      into.fill(0, offset, offset + 108)
    })
    const { context } = await run(model, { method: 'mse' }, contextOf(model, data))
    expect(context.logs.join('\n')).toMatch(/'x' and \d more: 0 on all calibration samples — /)
  })
})

describe('calibration without data', () => {
  const normalized = (opset: number) =>
    modelOf((g, x) => {
      const shift = tensorOf('float32', [4], [0, 10, -3, 0.5])
      const scale = tensorOf('float32', [4], [1, 2, -0.5, 3])
      const mean = weights([4], 'mean', 5)
      const variance = tensorOf('float32', [4], [9, 100, 25, 16])
      return g.BatchNormalization(conv(g, x, 'a'), scale, shift, mean, variance)
    }, opset)

  it.each([13, 18])('brings noise to the statistics of training, opset %d', async (opset) => {
    const model = normalized(opset)
    const save = join(temporaryFolder(), 'ranges.json')
    const { facts, context } = await run(model, { samples: 64, save }, contextOf(model))
    expect(facts.summary).toMatch(
      /minmax over 64 samples of random noise matched to 1 BatchNormalization: /,
    )
    expect(facts.advice).toEqual([expect.stringMatching(/come from random noise .* not from data/)])
    expect(context.logs.join('\n')).toMatch(/^advice: /m)
    const { min, max } = readCalibration(save).ranges.get('y')!
    // The outermost of 64 · 36 normal numbers are 3 to 4.5 deviations away.
    expect(max).toBeGreaterThan(10 + 2.8 * 2)
    expect(max).toBeLessThan(10 + 5 * 2)
    expect(min).toBeLessThan(0.5 - 2.8 * 3)
    expect(min).toBeGreaterThan(0.5 - 5.5 * 3)
  })

  it('is chosen over data when asked for', async () => {
    const model = twoLayers()
    const context = contextOf(model, samplesOf(shape))
    const { facts } = await run(model, { samples: 8, from: 'noise' }, context)
    expect(facts.summary).toMatch(/random noise with no BatchNormalization to match it to: /)
  })

  it('is refused for inputs of unknown size', async () => {
    const { model, g } = newModel('test', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 'height', 6] })
    g.output('y', g.Conv(x, weights([4, 3, 3, 3], 'w')), { dtype: 'float32' })
    await expect(run(model, {})).rejects.toThrow(
      /^model: noise cannot be made for its input 'x': float32 \[N,3,height,6\] — calibrate on data$/,
    )
  })
})

describe('calibration from recorded activations', () => {
  /** Writes float32 arrays as safetensors. */
  function dumpOf(arrays: Record<string, { shape: number[]; values: Float32Array }>): string {
    let begin = 0
    const header = Object.fromEntries(
      Object.entries(arrays).map(([name, { shape: dims, values }]) => {
        const end = begin + values.byteLength
        const entry = { dtype: 'F32', shape: dims, data_offsets: [begin, end] }
        begin = end
        return [name, entry]
      }),
    )
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    const file = join(temporaryFolder(), 'dump.safetensors')
    mkdirSync(dirname(file), { recursive: true })
    const parts = Object.values(arrays).map(({ values }) => Buffer.from(values.buffer))
    writeFileSync(file, Buffer.concat([length, text, ...parts]))
    return file
  }

  const samples = 40
  const inputs = () => {
    const values = elements(weights([samples, ...shape], 'recorded', 1), 'float32')
    return { shape: [samples, ...shape], values: values.slice() }
  }

  it('takes ranges from arrays, and runs the model for the others', async () => {
    const model = twoLayers()
    const [save, whole] = ['a', 'b'].map((name) => join(temporaryFolder(), `${name}.json`))
    const names = async (dump: string, to: string) => {
      const { context } = await run(model, { file: dump, save: to })
      return { ranges: readCalibration(to).ranges, logs: context.logs.join('\n') }
    }
    const x = inputs()
    const measured = await names(dumpOf({ x }), save!)
    expect(measured.ranges.get('x')).toEqual({
      min: Math.min(...x.values),
      max: Math.max(...x.values),
    })
    expect(measured.logs).toMatch(
      /has 1 of \d activations; the model was run on 40 of its samples for the others/,
    )
    const recorded = Object.fromEntries(
      [...measured.ranges].map(([name, { min, max }]) => [
        name,
        { shape: [3], values: Float32Array.of(min, 2 * max, 0) },
      ]),
    )
    const doubled = await names(dumpOf(recorded), whole!)
    for (const [name, { min, max }] of measured.ranges)
      expect(doubled.ranges.get(name)).toEqual({ min, max: 2 * max })
  })

  it('gives the same whether samples are recorded or data, window by window', async () => {
    const model = twoLayers()
    const x = inputs()
    const data = reading(samplesOf(shape, samples), (index, into, offset) => {
      into.set(x.values.subarray(108 * index, 108 * (index + 1)), offset)
    })
    const [fromDump, fromData] = ['a', 'b'].map((name) => join(temporaryFolder(), `${name}.json`))
    await run(model, { file: dumpOf({ x }), save: fromDump })
    await run(model, { save: fromData }, contextOf(model, data))
    expect(readCalibration(fromDump!).ranges).toEqual(readCalibration(fromData!).ranges)
  })

  it.each([
    [{ z: { shape: [1], values: Float32Array.of(1) } }, /: lacks activations: 'x' and \d more — /],
    [{ x: { shape: [0, ...shape], values: new Float32Array(0) } }, /: x: is empty: \[0,3,6,6\] — /],
    [
      { x: { ...inputs(), values: inputs().values.fill(Number.NaN) } },
      /^model: 'x' is not finite on the calibration data: NaN … NaN — /,
    ],
  ])('refuses what it cannot use %#', async (arrays, message) => {
    await expect(run(twoLayers(), { file: dumpOf(arrays) })).rejects.toThrow(message)
  })

  it('refuses a damaged file', async () => {
    const file = join(temporaryFolder(), 'dump.safetensors')
    writeFileSync(file, 'nothing')
    await expect(run(twoLayers(), { file })).rejects.toThrow(/: no safetensors file: 7 bytes — /)
  })
})
