import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../../base/errors.ts'
import { type Builder, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import type { Range } from '../../../stages/quantize/arithmetic.ts'
import { measureRanges } from '../../../stages/quantize/calibrate.ts'
import { readCalibration, writeCalibration } from '../../../stages/quantize/calibration-file.ts'
import { rangesFromDump } from '../../../stages/quantize/dump.ts'
import { quantize } from '../../../stages/quantize/index.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { reading } from '../../support/samples.ts'
import { type NpyArray, npzOf } from './npz.ts'
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
  const recorded = () => elements(weights([samples, ...shape], 'recorded', 1), 'float32')
  const inputs = () => ({ shape: [samples, ...shape], values: recorded().slice() })

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

  describe('as npz', () => {
    /** Writes arrays as numpy does, and changes the bytes. */
    function npz(
      arrays: readonly NpyArray[],
      change: (bytes: Buffer) => Uint8Array = (bytes) => bytes,
    ): string {
      const file = join(temporaryFolder(), 'dump.npz')
      writeFileSync(file, change(npzOf(arrays)))
      return file
    }

    const rangesOf = async (file: string, model = twoLayers()) => {
      const values = [...model.graph.feeds, ...model.graph.nodes.map((node) => node.output())]
      const options = { ...measuring, method: 'minmax' } as const
      const { ranges, ...counts } = await rangesFromDump(file, model, values, 512, options)
      return { ...counts, ranges: [...ranges.values()] }
    }

    const x = (more: Partial<NpyArray> = {}): NpyArray => ({
      ...{ name: 'x', dtype: '<f4', shape: [samples, ...shape], values: recorded() },
      ...more,
    })
    const extremes = { min: Math.min(...recorded()), max: Math.max(...recorded()) }

    it('is the same deflated, in Fortran order and from the other end of each number', async () => {
      const plain = await rangesOf(npz([x()]))
      expect(plain).toMatchObject({ recorded: 1, samples })
      expect(plain.ranges[0]).toEqual(extremes)
      for (const more of [{ deflate: true }, { fortran: true }, { dtype: '>f4' }] as const)
        expect(await rangesOf(npz([x(more)]))).toEqual(plain)
    })

    it.each([
      ['<f2', [-1.5, 0.25, 2], { min: -1.5, max: 2 }],
      ['<f8', [-1e-3, 7], { min: Math.fround(-1e-3), max: 7 }],
      ['|u1', [3, 255], { min: 3, max: 255 }],
      ['|i1', [-128, 5], { min: -128, max: 5 }],
      ['<i4', [-70_000, 1], { min: -70_000, max: 1 }],
      ['<i8', [-5, 2 ** 30], { min: -5, max: 2 ** 30 }],
    ] as const)('takes ranges of numbers of type %s', async (dtype, values, range) => {
      const single = modelOf((g, input) => g.Relu(input))
      const names = ['x', single.graph.outputs[0]!.name]
      for (const deflate of [false, true]) {
        const arrays = names.map((name) => ({
          name,
          dtype,
          shape: [values.length],
          values,
          deflate,
        }))
        const found = await rangesOf(npz(arrays), single)
        expect(found).toEqual({ ranges: [range, range], recorded: 2, samples: 0 })
      }
    })

    /** Sets four bytes of an entry in the directory of the archive. */
    const claim = (offset: number, value: number) => (bytes: Buffer) => {
      bytes.writeUInt32LE(value, bytes.indexOf('PK\x01\x02', 0, 'latin1') + offset)
      return bytes
    }

    /** What deflate cannot make smaller. */
    const noise = elements(weights([72_000], 'noise', 1), 'float32')
    /** Bytes before the numbers of that array. */
    const npyHeader =
      10 + "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 67108865), }\n".length

    it.each<[string, string, RegExp]>([
      ['that ends early', npz([x()], (bytes) => bytes.subarray(0, 900)), /: a damaged zip: .* — /],
      [
        'whose array ends early',
        npz([x({ values: recorded().slice(0, 100) })]),
        /: x: \d+ bytes where shape \[40,3,6,6\] needs \d+ — /,
      ],
      [
        'that announces more than deflate can hold',
        npz([x({ deflate: true })], claim(24, 0x7fffffff)),
        /: x\.npy: announces 2147483647 bytes out of \d+, which cannot be — /,
      ],
      [
        'that announces more than there is',
        npz([x()], claim(20, 0x7fffffff)),
        /: x\.npy: announces \d+ bytes out of 2147483647, which cannot be — |damaged zip/,
      ],
      [
        'with a shape beyond counting',
        npz([x({ shape: [2 ** 31, 2 ** 31], values: [1] })]),
        /: x: impossible shape \[2147483648,2147483648\] — /,
      ],
      [
        'of wrong bytes',
        npz([x({ deflate: true })], claim(16, 12345)),
        /: x: wrong checksum — fetch the file again/,
      ],
      [
        'deflated in Fortran order',
        npz([x({ deflate: true, fortran: true })]),
        /: x: compressed in Fortran order cannot be read by rows — save numpy\.ascontiguousarray\(x\)/,
      ],
      [
        'whose entry leads out of it',
        npz([x({ name: '../x' })]),
        /: a damaged zip: invalid relative path: \.\.\/x\.npy — /,
      ],
      ['of other activations', npz([x({ name: 'z' })]), /: lacks activations: 'x' and \d more — /],
      [
        'of complex numbers',
        npz([x({ dtype: '<c8', shape: [1], values: [1] })]),
        /: x: elements of type 'c8' are no numbers/,
      ],
      [
        'of samples of another shape',
        npz([x({ shape: [80, 3, 6, 3] })]),
        /does not fit the data: .*\[3,6,3\]/,
      ],
      [
        'of a number beyond 32 bits',
        npz([x({ dtype: '<i8', shape: [1], values: [2 ** 40] })]),
        /: x: beyond 32-bit integers: 1099511627776 — /,
      ],
      [
        'of a row that cannot be held',
        npz(
          [x({ shape: [1, 2 ** 26 + 1], values: noise, deflate: true })],
          claim(24, 4 * (2 ** 26 + 1) + npyHeader),
        ),
        /: x: a row has 268435460 bytes, more than 268435456 — put the samples on the first axis/,
      ],
      [
        'of samples without a number of their own',
        npz([x({ shape: [], values: [1] }), x({ name: 'y' })]),
        /: its inputs have different numbers of samples, or none: 'x' \[\] — /,
      ],
      ['without numbers', npz([x({ shape: [0, ...shape], values: [] })]), /: x: is empty: \[0,/],
      ['without arrays', npz([]), /: holds no array — write it with numpy\.savez/],
    ])('%s is refused in one line', async (_, file, message) => {
      const error: unknown = await rangesOf(file).then(
        () => undefined,
        (thrown) => thrown,
      )
      expect(error).toBeInstanceOf(UserError)
      expect((error as UserError).message).toMatch(message)
      expect((error as UserError).message).not.toMatch(/\n/)
    })
  })
})
