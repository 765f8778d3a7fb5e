import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { numbers, sizeOf, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import {
  type Agreement,
  type ConnectorOptions,
  connect,
  connectorOptions,
  connectors,
} from '../../train/connectors.ts'
import { auxiliary, lossContext } from '../../train/loss-context.ts'
import { shapeOf } from '../../train/rule.ts'
import { expectLoss, type LossCase } from './loss-harness.ts'
import { images, rowsOf, sequences, sumOver } from './losses/arrays.ts'

/** Writes a connector for a value of a shape. */
function written(
  shape: readonly number[],
  wanted: readonly number[],
  options: unknown = 'auto',
  agreement: Agreement = 'all',
) {
  const { model, g } = newModel('connector')
  const student = g.input('student', { dtype: 'float32', shape })
  const subject = { inputs: [student], outputs: [student] }
  const { context, parts } = lossContext(g, subject, { batch: shape[0]!, where: 'test' })
  const resolved: ConnectorOptions = connectorOptions.parse(options)
  const value = connect(g, context, student, wanted, resolved, agreement, 'c')
  return { model, g, student, value, parameters: parts().parameters }
}

/** What a connector without weights makes of numbers. */
async function connected(
  content: readonly number[],
  shape: readonly number[],
  wanted: readonly number[],
  options: unknown = 'auto',
  agreement: Agreement = 'all',
): Promise<{ readonly dims: readonly number[]; readonly content: readonly number[] }> {
  const { model, g, value } = written(shape, wanted, options, agreement)
  g.output('out', g.Identity(value))
  const { out } = await withSession(model, {}, (session) =>
    session.run({ student: tensorOf('float32', shape, content) }),
  )
  return { dims: out!.dims, content: numbers(out!) }
}

const image = [2, 3, 8, 8]
const words = [2, 8, 3]

/** Connector, the student's shape, the teacher's, and the shape that must result. */
const shapes: readonly (readonly [unknown, number[], number[], number[]])[] = [
  ['linear', image, [2, 5, 8, 8], [2, 5, 8, 8]],
  ['linear', words, [2, 8, 5], [2, 8, 5]],
  ['linear', [2, 3], [2, 5], [2, 5]],
  ['projection', image, [2, 5, 8, 8], [2, 5, 8, 8]],
  [[{ connect: 'projection', hidden: 7 }], words, [2, 8, 5], [2, 8, 5]],
  ['conv', image, [2, 5, 8, 8], [2, 5, 8, 8]],
  ['conv', image, [2, 5, 4, 4], [2, 5, 4, 4]],
  ['conv', image, [2, 5, 3, 4], [2, 5, 3, 4]],
  ['conv', image, [2, 5, 9, 10], [2, 5, 9, 10]],
  [[{ connect: 'conv', kernel: 1 }], image, [2, 5, 8, 8], [2, 5, 8, 8]],
  [[{ connect: 'conv', kernel: 8 }], image, [2, 5, 1, 1], [2, 5, 1, 1]],
  [[{ connect: 'conv', kernel: 5 }], image, [2, 5, 4, 4], [2, 5, 4, 4]],
  ['pool', image, [2, 5, 4, 2], [2, 3, 4, 2]],
  ['pool', words, [2, 2, 5], [2, 2, 3]],
  ['interpolate', image, [2, 5, 3, 11], [2, 3, 3, 11]],
  ['interpolate', image, [2, 5, 16, 16], [2, 3, 16, 16]],
  ['interpolate', words, [2, 5, 5], [2, 5, 3]],
  ['interpolate', words, [2, 11, 5], [2, 11, 3]],
  ['average', image, [2, 5], [2, 3]],
  ['average', words, [2, 5], [2, 3]],
  ['sequence', image, [2, 64, 5], [2, 64, 3]],
  ['sequence', words, [2, 5, 2, 4], [2, 3, 2, 4]],
  [[{ connect: 'pool' }, { connect: 'linear' }], image, [2, 5, 4, 4], [2, 5, 4, 4]],
]

/** What `auto` must be the same as. */
const automatic: readonly (readonly [Agreement, number[], number[], readonly string[]])[] = [
  ['all', image, image, []],
  ['all', words, words, []],
  ['all', [2, 3], [2, 3], []],
  ['all', image, [2, 5, 8, 8], ['linear']],
  ['all', image, [2, 5, 4, 4], ['pool', 'linear']],
  ['all', image, [2, 3, 2, 4], ['pool']],
  ['all', image, [2, 3, 3, 3], ['interpolate']],
  ['all', image, [2, 5, 16, 4], ['interpolate', 'linear']],
  ['all', words, [2, 4, 3], ['pool']],
  ['all', words, [2, 12, 5], ['interpolate', 'linear']],
  ['all', [2, 3], [2, 5], ['linear']],
  ['all', image, [2, 5], ['average', 'linear']],
  ['all', words, [2, 3], ['average']],
  ['all', image, [2, 64, 5], ['sequence', 'linear']],
  ['all', words, [2, 5, 4, 2], ['sequence', 'linear']],
  ['positions', image, [2, 5, 4, 4], ['pool']],
  ['positions', image, [2, 5, 8, 8], []],
  ['channels', image, [2, 5, 4, 4], ['linear']],
  ['channels', image, [2, 3, 4, 4], []],
  ['none', image, [2, 7], []],
]

const channelsOf = (shape: readonly number[]) => (shape.length === 4 ? shape[1]! : shape.at(-1)!)
const count = (size: number) => Array.from({ length: size }, (_, at) => at)
const drawn = count(sizeOf(image)).map((at) => Math.sin(at * at))

const [batch, to] = [2, 3]
const taps = [{ teacher: 't', student: 's' }]
type Tensors = Readonly<Record<string, Float64Array>>
const meanSquare = (a: readonly number[][][], b: readonly number[][][]) => {
  const squares = a.map((maps, n) =>
    maps.map((map, c) => sumOver(map.length, (at) => (map[at]! - b[n]![c]![at]!) ** 2)),
  )
  const sum = squares.flat().reduce((total, value) => total + value, 0)
  return sum / b.flat(2).length
}

/** A window of 3x3 of every channel, with zeros around the image, by the paper's formula. */
function convolved(x: Tensors, wide: number, out: number, stride: number, before: number) {
  const weight = images(x['feature.connector0.0.weight']!, to, 2)
  return images(x['student/s']!, batch, 2).map((maps) =>
    weight.map((filters, c) =>
      count(out * out).map((at) => {
        const [row, column] = [Math.floor(at / out) * stride - before, (at % out) * stride - before]
        const inside = (y: number, x: number) => y >= 0 && y < wide && x >= 0 && x < wide
        return (
          x['feature.connector0.0.bias']![c]! +
          sumOver(2, (from) =>
            sumOver(3, (dy) =>
              sumOver(3, (dx) =>
                inside(row + dy, column + dx)
                  ? filters[from]![dy * 3 + dx]! * maps[from]![(row + dy) * wide + column + dx]!
                  : 0,
              ),
            ),
          )
        )
      }),
    ),
  )
}

/** W₂ relu(W₁ x + b₁) + b₂ for each position; matrices by output, then input. */
function projected(
  x: Tensors,
  own: readonly number[][][],
  matrices: readonly (readonly number[][])[],
) {
  const name = 'feature.connector0.0'
  return own.map((maps) => {
    const layer = (input: readonly number[][], matrix: readonly number[][], bias: Float64Array) =>
      matrix.map((row, c) =>
        input[0]!.map((_, at) => bias[c]! + sumOver(row.length, (k) => row[k]! * input[k]![at]!)),
      )
    const hidden = layer(maps, matrices[0]!, x[`${name}.hidden.bias`]!)
    const active = hidden.map((map) => map.map((value) => Math.max(0, value)))
    return layer(active, matrices[1]!, x[`${name}.out.bias`]!)
  })
}
const transposed = (rows: readonly number[][]) =>
  rows[0]!.map((_, at) => rows.map((row) => row[at]!))

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / values.length

const learned: readonly LossCase[] = [
  {
    title: 'conv as in FitNets: no padding where the window is what is too many',
    terms: [{ loss: 'feature', taps, connector: 'conv' }],
    taps: { s: { shape: [batch, 2, 5, 5] } },
    teacherTaps: { t: { shape: [batch, to, 3, 3] } },
    expected: (x) => meanSquare(convolved(x, 5, 3, 1, 0), images(x['teacher/t']!, batch, to)),
  },
  {
    title: 'conv of the same size',
    terms: [{ loss: 'feature', taps, connector: 'conv' }],
    taps: { s: { shape: [batch, 2, 4, 4] } },
    teacherTaps: { t: { shape: [batch, to, 4, 4] } },
    expected: (x) => meanSquare(convolved(x, 4, 4, 1, 1), images(x['teacher/t']!, batch, to)),
  },
  {
    title: 'conv with a stride, padded behind',
    terms: [{ loss: 'feature', taps, connector: 'conv' }],
    taps: { s: { shape: [batch, 2, 8, 8] } },
    teacherTaps: { t: { shape: [batch, to, 4, 4] } },
    expected: (x) => meanSquare(convolved(x, 8, 4, 2, 0), images(x['teacher/t']!, batch, to)),
  },
  {
    title: 'projection of images',
    terms: [{ loss: 'feature', taps, connector: [{ connect: 'projection', hidden: 4 }] }],
    taps: { s: { shape: [batch, 2, 2, 3] } },
    teacherTaps: { t: { shape: [batch, to, 2, 3] } },
    expected: (x) =>
      meanSquare(
        projected(x, images(x['student/s']!, batch, 2), [
          rowsOf(x['feature.connector0.0.hidden.weight']!, 4),
          rowsOf(x['feature.connector0.0.out.weight']!, to),
        ]),
        images(x['teacher/t']!, batch, to),
      ),
  },
  {
    title: 'projection of sequences',
    terms: [{ loss: 'feature', taps, connector: 'projection' }],
    taps: { s: { shape: [batch, 5, 2] } },
    teacherTaps: { t: { shape: [batch, 5, to] } },
    expected: (x) =>
      meanSquare(
        projected(x, sequences(x['student/s']!, batch, 2), [
          transposed(rowsOf(x['feature.connector0.0.hidden.weight']!, 2)),
          transposed(rowsOf(x['feature.connector0.0.out.weight']!, to)),
        ]),
        sequences(x['teacher/t']!, batch, to),
      ),
  },
  {
    title: 'auto: an image for a vector',
    terms: [{ loss: 'feature', taps }],
    taps: { s: { shape: [batch, 2, 3, 3] } },
    teacherTaps: { t: { shape: [batch, to] } },
    expected: (x) => {
      const weight = rowsOf(x['feature.connector0.1.weight']!, 2)
      const own = images(x['student/s']!, batch, 2).map((maps) => {
        const means = maps.map(mean)
        return count(to).map((c) => [sumOver(2, (k) => means[k]! * weight[k]![c]!)])
      })
      return meanSquare(own, images(x['teacher/t']!, batch, to))
    },
  },
  {
    title: 'interpolate up by two: three quarters of the nearer one',
    terms: [{ loss: 'feature', taps }],
    taps: { s: { shape: [batch, 2, 3] } },
    teacherTaps: { t: { shape: [batch, 4, 3] } },
    expected: (x) =>
      meanSquare(
        sequences(x['student/s']!, batch, 3).map((maps) =>
          maps.map(([a, b]) => [a!, 0.75 * a! + 0.25 * b!, 0.25 * a! + 0.75 * b!, b!]),
        ),
        sequences(x['teacher/t']!, batch, 3),
      ),
  },
  {
    title: 'interpolate down from three to two',
    terms: [{ loss: 'feature', taps }],
    taps: { s: { shape: [batch, 2, 3, 2] } },
    teacherTaps: { t: { shape: [batch, 2, 2, 2] } },
    expected: (x) =>
      meanSquare(
        images(x['student/s']!, batch, 2).map((maps) =>
          maps.map(([a, b, c, d, e, f]) => [
            0.75 * a! + 0.25 * c!,
            0.75 * b! + 0.25 * d!,
            0.25 * c! + 0.75 * e!,
            0.25 * d! + 0.75 * f!,
          ]),
        ),
        images(x['teacher/t']!, batch, 2),
      ),
  },
  {
    title: 'pool',
    terms: [{ loss: 'feature', taps }],
    taps: { s: { shape: [batch, 3, 2, 4] } },
    teacherTaps: { t: { shape: [batch, 3, 2, 2] } },
    expected: (x) =>
      meanSquare(
        images(x['student/s']!, batch, 3).map((maps) =>
          maps.map(([a, b, c, d, e, f, h, i]) =>
            [a! + b!, c! + d!, e! + f!, h! + i!].map((sum) => sum / 2),
          ),
        ),
        images(x['teacher/t']!, batch, 3),
      ),
  },
  {
    title: 'pool and sequence',
    terms: [{ loss: 'feature', taps, connector: [{ connect: 'sequence' }, { connect: 'pool' }] }],
    taps: { s: { shape: [batch, 3, 2, 2] } },
    teacherTaps: { t: { shape: [batch, 2, 3] } },
    expected: (x) =>
      meanSquare(
        images(x['student/s']!, batch, 3).map((maps) =>
          maps.map(([a, b, c, d]) => [(a! + b!) / 2, (c! + d!) / 2]),
        ),
        sequences(x['teacher/t']!, batch, 3),
      ),
  },
]

describe('connectors', () => {
  it.each(shapes)(
    'give what they promise: %j from %j for %j',
    async (options, shape, wanted, out) => {
      const agreement = channelsOf(out) === channelsOf(wanted) ? 'all' : 'positions'
      const { model, g, value } = written(shape, wanted, options, agreement)
      expect(shapeOf(value)).toEqual(out)
      g.output('out', g.Identity(value))
      const content = count(sizeOf(shape)).map((at) => Math.sin(at))
      const results = await withSession(model, {}, (session) =>
        session.run({ student: tensorOf('float32', shape, content) }),
      )
      expect(results.out!.dims).toEqual(out)
    },
  )

  it('has a case for each', () => {
    const tried = shapes.flatMap(([options]) =>
      typeof options === 'string'
        ? [options]
        : (options as { connect: string }[]).map((o) => o.connect),
    )
    expect(new Set(tried)).toEqual(new Set(Object.keys(connectors)))
  })

  it.each(automatic)(
    'do what is needed: %s from %j to %j is %j',
    (agreement, shape, wanted, steps) => {
      const auto = written(shape, wanted, 'auto', agreement)
      const list = steps.map((name) => ({ connect: name }))
      if (steps.length === 0) expect(auto.value).toBe(auto.student)
      else {
        const same = written(shape, wanted, list, agreement)
        const nodes = ({ g }: typeof same) => g.graph.nodes.map(({ opType }) => opType)
        expect(nodes(auto)).toEqual(nodes(same))
        expect(shapeOf(auto.value)).toEqual(shapeOf(same.value))
      }
      const learns = steps.includes('linear')
      expect(auto.parameters.map(({ name }) => name)).toEqual(
        learns ? [`${auxiliary}c.${steps.length - 1}.weight`] : [],
      )
    },
  )

  it.each(learned)(
    'are what the formula says, with the gradients of what they learn: $title',
    expectLoss,
  )

  it('pool to the mean of what becomes one', async () => {
    const { content } = await connected(drawn, image, [2, 3, 4, 2], 'pool')
    const maps = images(Float64Array.from(drawn), 2, 3).flat()
    const expected = maps.flatMap((map) =>
      count(8).map((at) => {
        const [row, column] = [Math.floor(at / 2) * 2, (at % 2) * 4]
        return mean(count(8).map((k) => map[(row + Math.floor(k / 4)) * 8 + column + (k % 4)]!))
      }),
    )
    for (const [at, value] of content.entries()) expect(value).toBeCloseTo(expected[at]!, 5)
  })

  it.each([
    [8, 11],
    [8, 16],
    [9, 6],
    [12, 5],
  ])('keep a ramp of %i positions straight in %i', async (from, to) => {
    const ramp = count(from).map((at) => at + 0.5)
    const { content } = await connected(ramp, [1, from, 1], [1, to, 1], 'interpolate')
    for (const [at, value] of content.entries()) {
      // Where each centre lies among the others; beyond the first and the last there is nothing.
      const place = ((at + 0.5) * from) / to
      expect(value).toBeCloseTo(Math.min(Math.max(place, 0.5), from - 0.5), 5)
    }
  })

  it('leave constants alone when they interpolate', async () => {
    for (const wanted of [
      [2, 3, 5, 13],
      [2, 3, 3, 3],
    ]) {
      const { content } = await connected(
        drawn.map(() => 2),
        image,
        wanted,
        'interpolate',
      )
      for (const value of content) expect(value).toBeCloseTo(2, 5)
    }
  })

  it('read an image row by row, and back', async () => {
    const { content } = await connected(count(12), [1, 2, 2, 3], [1, 6, 2], 'sequence')
    expect(content).toEqual([0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11])
    const back = await connected(content, [1, 6, 2], [1, 2, 2, 3], 'sequence')
    expect(back.content).toEqual(count(12))
  })

  it.each(['linear', 'conv', 'projection'])(
    'do what they are told where a loss needs nothing: %s',
    (options) => {
      const { value, student } = written(image, [2, 5, 8, 8], options, 'none')
      expect(value).not.toBe(student)
      expect(shapeOf(value)).toEqual([2, 5, 8, 8])
    },
  )

  it.each([
    [
      'pool',
      image,
      [2, 3, 3, 3],
      "cannot divide the positions: the student's [2,3,8,8], the teacher's [2,3,3,3] — use 'interpolate'",
    ],
    [
      'pool',
      image,
      [2, 3],
      "cannot divide the positions: the student's [2,3,8,8], the teacher's [2,3] — use 'interpolate'",
    ],
    [
      'interpolate',
      image,
      [2, 3],
      "needs positions along the same axes: the student's [2,3,8,8], the teacher's [2,3] — use 'average' or 'sequence'",
    ],
    [
      'conv',
      words,
      [2, 8, 5],
      "takes images [N, C, H, W]: the student's [2,8,3], the teacher's [2,8,5] — use 'linear' or 'projection'",
    ],
    [
      'conv',
      image,
      [2, 3, 1, 1],
      "of kernel 3 does not reach the positions: the student's [2,3,8,8], the teacher's [2,3,1,1] — use another kernel, or 'pool' or 'interpolate' before it",
    ],
    [
      'conv',
      image,
      [2, 3, 32, 32],
      "of kernel 3 does not reach the positions: the student's [2,3,8,8], the teacher's [2,3,32,32] — use another kernel, or 'pool' or 'interpolate' before it",
    ],
    [
      'sequence',
      words,
      [2, 3, 3, 3],
      "takes an image, or a sequence as long as the image has positions: the student's [2,8,3], the teacher's [2,3,3,3] — use other taps",
    ],
  ] as const)('refuse what they cannot do: %s from %j to %j', (options, shape, wanted, error) => {
    expect(() => written(shape, wanted, options)).toThrow(`test: connector '${options}' ${error}`)
  })

  it.each([
    ['auto', [2, 3], [2, 3, 4, 4]],
    ['auto', image, [2, 49, 3]],
    ['none', image, [2, 3, 4, 4]],
    ['linear', image, [2, 5, 4, 4]],
    ['pool', image, [2, 5, 4, 4]],
    ['auto', [4, 3], [2, 3]],
  ] as const)(
    'are refused where shapes still do not fit: %s from %j to %j',
    (options, shape, wanted) => {
      expect(() => written(shape, wanted, options)).toThrow(
        /^test: taps do not fit: the student's 'student' \[.*\], the teacher's \[.*\] — use a connector, or other taps$/,
      )
    },
  )
})
