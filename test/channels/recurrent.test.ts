import { describe, it } from '@jest/globals'
import type { Attributes, Builder, Operand } from '../../onnx/build.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { expectRow, kept, modelOf, noise, type Row } from './small.ts'

const dense = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.MatMul(x, noise([from, to]))

/** A recurrent layer over `[6, N, 10]`, whose width a layer before it makes. */
function layer(
  opType: string,
  gates: number,
  options: {
    readonly directions?: number
    readonly attributes?: Attributes
    /** Inputs after the bias, for six hidden units. */
    readonly further?: (g: Builder) => readonly Operand[]
    /** What is taken of the outputs: all steps, or the end. */
    readonly end?: boolean
  } = {},
): Model {
  const { directions = 1, attributes = {}, further = () => [], end = false } = options
  return modelOf(
    (g, x) => {
      const wide = g.Transpose(dense(g, x, 8, 10), { perm: [1, 0, 2] })
      const weights = [
        noise([directions, gates * 6, 10]),
        noise([directions, gates * 6, 6]),
        noise([directions, gates * 12]),
      ]
      const [all, last] = g.node(opType, [wide, ...weights, ...further(g)], {
        attributes: {
          ...{ hidden_size: 6, direction: directions === 2 ? 'bidirectional' : 'forward' },
          ...attributes,
        },
        outputs: 2,
      })
      if (end) {
        const row = g.Reshape(g.Transpose(last!, { perm: [1, 0, 2] }), [0, -1])
        return dense(g, row, directions * 6, 5)
      }
      const rows = g.Reshape(g.Transpose(all!, { perm: [2, 0, 1, 3] }), [0, 6, directions * 6])
      return dense(g, rows, directions * 6, 5)
    },
    [6, 8],
  )
}

/** Two layers; the first one's last state starts the second. */
const stacked = modelOf(
  (g, x) => {
    const weights = (from: number) => [noise([1, 24, from]), noise([1, 24, 6])]
    const attributes = { hidden_size: 6 }
    const [a, h, c] = g.node('LSTM', [g.Transpose(x, { perm: [1, 0, 2] }), ...weights(8)], {
      ...{ attributes, outputs: 3 },
    })
    const inputs = [g.Squeeze(a!, [1]), ...weights(6), undefined, undefined, h, c]
    const [b] = g.node('LSTM', inputs, { attributes })
    return dense(g, g.Transpose(g.Squeeze(b!, [1]), { perm: [1, 0, 2] }), 6, 5)
  },
  [6, 8],
)

const states = (count: number, directions: number) => (): Operand[] => [
  undefined,
  ...Array.from({ length: count }, () => noise([directions, 1, 6])),
]

const rows: Readonly<Record<string, Row>> = {
  LSTM: [layer('LSTM', 4), [10, 6, kept]],
  'LSTM in both directions': [layer('LSTM', 4, { directions: 2 }), [10, 6, kept]],
  'LSTM by its end': [layer('LSTM', 4, { directions: 2, end: true }), [10, 6, kept]],
  'LSTM with constant states and peepholes': [
    layer('LSTM', 4, {
      directions: 2,
      further: (g) => [...states(2, 2)(), g.constant(noise([2, 18]))],
    }),
    [10, 6, kept],
  ],
  'LSTM with a coupled gate': [
    layer('LSTM', 4, { attributes: { input_forget: 1, clip: 2 } }),
    [10, 6, kept],
  ],
  GRU: [layer('GRU', 3, { further: states(1, 1) }), [10, 6, kept]],
  'GRU in both directions': [
    layer('GRU', 3, { directions: 2, attributes: { linear_before_reset: 1 } }),
    [10, 6, kept],
  ],
  RNN: [layer('RNN', 1, { further: states(1, 1) }), [10, 6, kept]],
  'RNN in both directions, by its end': [
    layer('RNN', 1, { directions: 2, end: true }),
    [10, 6, kept],
  ],
  'a second LSTM that goes on from the first': [stacked, [6, kept]],
  'a state that the model is fed': [
    modelOf(
      (g, x) => {
        const state = g.input('state', { dtype: 'float32', shape: [1, 1, 6] })
        const inputs = [g.Transpose(x, { perm: [1, 0, 2] }), noise([1, 18, 8]), noise([1, 18, 6])]
        const [, h] = g.node('GRU', [...inputs, undefined, undefined, state], {
          ...{ attributes: { hidden_size: 6 }, outputs: 2 },
        })
        return dense(g, g.Squeeze(h!, [0]), 6, 5)
      },
      [6, 8],
    ),
    ["input 'state' of the model keeps its shape", kept],
  ],
  'a state that the model gives': [
    modelOf(
      (g, x) => {
        const inputs = [g.Transpose(x, { perm: [1, 0, 2] }), noise([1, 6, 8]), noise([1, 6, 6])]
        return g.node('RNN', inputs, { attributes: { hidden_size: 6 }, outputs: 2 })[1]!
      },
      [6, 8],
    ),
    [kept],
  ],
}

const einsums: Readonly<Record<string, Row>> = {
  'a layer': [
    modelOf(
      (g, x) => {
        const a = g.Relu(g.Einsum(x, noise([8, 10]), { equation: 'nsi,io->nso' }))
        return g.Einsum(a, noise([5, 10]), { equation: '...i,oi' })
      },
      [6, 8],
    ),
    [10, kept],
  ],
  'a sum and a product by channels': [
    modelOf((g, x) => {
      const a = g.Einsum(x, noise([3, 10]), { equation: 'nchw,cd->ndhw' })
      const b = g.Einsum(a, noise([10]), { equation: 'ndhw,d->ndhw' })
      return g.Einsum(b, { equation: 'ndhw->nh' })
    }),
    [10],
  ],
  'a diagonal': [
    modelOf(
      (g, x) => {
        const a = g.Einsum(x, noise([8, 8]), { equation: 'chi,io->cho' })
        return g.Einsum(g.Squeeze(g.Unsqueeze(a, [0]), [0]), { equation: 'coo->co' })
      },
      [8, 8],
    ),
    ["Einsum 'Einsum_1' takes a diagonal"],
  ],
}

describe('recurrent nets', () => {
  it.each(Object.entries(rows))('%s is followed', (_, row) => expectRow(row))
})

describe('Einsum', () => {
  it.each(Object.entries(einsums))('of %s is followed', (_, row) => expectRow(row))
})

describe('embeddings', () => {
  it('are followed by their width', () => {
    const model = modelOf(
      (g, x) => {
        const ids = g.Cast(g.Clip(g.Mul(x, 3), 0, 6), { to: 7 })
        const a = g.Gather(noise([7, 10]), ids)
        const b = g.Gather(noise([12, 7]), ids, { axis: 1 })
        const places = g.Add(a, noise([6, 10]))
        return [dense(g, places, 10, 5), dense(g, g.Transpose(b, { perm: [1, 2, 0] }), 12, 5)]
      },
      [6],
    )
    return expectRow([model, [10, 12, kept, "output 'y1' of the model keeps its shape"]])
  })
})
