// The operators that the other tests of channels have no place for: every row of the table is cut once.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { channelGroups } from '../../channels/groups.ts'
import { prepareChannels } from '../../channels/prepare.ts'
import { rules } from '../../channels/rules.ts'
import { type Attributes, type Builder, build, type Operand } from '../../onnx/build.ts'
import { Graph, type Model, type Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { expectRow, kept, modelOf, noise, type Row } from './small.ts'

const conv = (g: Builder, x: Operand): Value =>
  g.Conv(x, noise([6, 3, 3, 3]), noise([6]), { pads: [1, 1, 1, 1] })

const head = (g: Builder, x: Operand, size = 6): Value =>
  g.Gemm(g.Flatten(g.GlobalAveragePool(x)), noise([size, 5]), noise([5]))

const apply = (g: Builder, opType: string, inputs: readonly Operand[], attributes?: Attributes) =>
  g.node(opType, inputs, { ...(attributes && { attributes }) })[0]!

const asFloat = (g: Builder, x: Value) => g.Cast(x, { to: 1 })

/** Operators of one input that is between 0.1 and 0.9. */
const unary = [
  ...['Abs', 'Acos', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Ceil', 'Celu', 'Cos', 'Cosh', 'Elu', 'Erf'],
  ...['Exp', 'Floor', 'Gelu', 'HardSigmoid', 'HardSwish', 'LeakyRelu', 'Log', 'Mish', 'Neg'],
  ...[
    'Reciprocal',
    'Relu',
    'Round',
    'Selu',
    'Shrink',
    'Sigmoid',
    'Sign',
    'Sin',
    'Sinh',
    'Softplus',
  ],
  ...['Softsign', 'Sqrt', 'Tan', 'Tanh', 'ThresholdedRelu'],
]

/** What operators of two inputs give, as float32. */
const pairs = (g: Builder, a: Value, b: Value): Value[] => [
  ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual'].map((opType) =>
    asFloat(g, apply(g, opType, [g.Floor(a), g.Floor(b)])),
  ),
  ...['And', 'Or', 'Xor'].map((opType) =>
    asFloat(g, apply(g, opType, [g.Greater(a, 0), g.Greater(b, 0)])),
  ),
  ...['Min', 'Max', 'Mean'].map((opType) => apply(g, opType, [a, noise([6, 1, 1]), b])),
  apply(g, 'Mod', [a, g.Add(g.Abs(b), 1)], { fmod: 1 }),
  g.Where(g.Greater(a, 0), b, noise([6, 1, 1])),
]

/** Reductions that no share of what they give can be told of. */
const mixingReductions = ['ReduceMin', 'ReduceProd', 'ReduceLogSum', 'ReduceLogSumExp']

const rows: Readonly<Record<string, Row>> = {
  'every operator of one input': [
    modelOf((g, x) => {
      const a = g.Add(g.Mul(g.Sigmoid(conv(g, x)), 0.8), 0.1)
      const terms = unary.map((opType) => apply(g, opType, [a]))
      return head(g, g.Concat(...terms, apply(g, 'Acosh', [g.Add(a, 1)]), { axis: 2 }))
    }),
    [6, kept],
  ],
  Swish: [modelOf((g, x) => head(g, apply(g, 'Swish', [conv(g, x)])), [3, 8, 8], 24), [6, kept]],
  'questions and their negation': [
    modelOf((g, x) => {
      const a = conv(g, x)
      const asked = ['IsNaN', 'IsInf'].map((opType) =>
        asFloat(g, apply(g, 'Not', [apply(g, opType, [a])])),
      )
      return head(g, g.Concat(g.Mul(a, asked[0]!), g.Mul(a, asked[1]!), { axis: 2 }))
    }),
    [6, kept],
  ],
  'every operator of two inputs': [
    modelOf((g, x) => head(g, g.Concat(...pairs(g, conv(g, x), conv(g, x)), { axis: 2 }))),
    [6, kept],
  ],
  'GlobalMaxPool and LpPool': [
    modelOf((g, x) => {
      const a = apply(g, 'LpPool', [conv(g, x)], { kernel_shape: [2, 2], p: 2 })
      return g.Gemm(g.Flatten(apply(g, 'GlobalMaxPool', [a])), noise([6, 5]))
    }),
    [6, kept],
  ],
  'reductions and comparisons of places': [
    modelOf((g, x) => {
      const a = g.Exp(g.Tanh(conv(g, x)))
      const terms = mixingReductions.map((opType) => apply(g, opType, [a, [3]]))
      const least = asFloat(g, apply(g, 'ArgMin', [a], { axis: 3 }))
      const hard = g.ReduceMax(g.Mul(a, apply(g, 'Hardmax', [a], { axis: 3 })), [3])
      const soft = apply(g, 'LogSoftmax', [a], { axis: 3 })
      return head(g, g.Concat(...terms, least, hard, soft, { axis: 3 }))
    }),
    [6, kept],
  ],
  'reductions over the channels, which mix them': [
    modelOf((g, x) => {
      const terms = mixingReductions.map((opType) => apply(g, opType, [g.Exp(conv(g, x)), [1]]))
      return g.Flatten(g.Concat(...terms, { axis: 1 }))
    }),
    mixingReductions.map((opType) => `${opType} '${opType}' mixes the channels`),
  ],
  'ArgMin and Hardmax over the channels, which compare them': [
    modelOf((g, x) => {
      const least = apply(g, 'ArgMin', [conv(g, x)], { axis: 1 })
      const hard = apply(g, 'Hardmax', [conv(g, x)], { axis: 1 })
      return g.Add(g.ReduceMean(asFloat(g, least), { keepdims: 0 }), head(g, hard))
    }),
    ["ArgMin 'ArgMin' mixes the channels", "Hardmax 'Hardmax' mixes the channels", kept],
  ],
  'a scale that depends on the number of elements': [
    modelOf((g, x) => {
      const a = conv(g, x)
      return head(g, g.Div(a, g.Sqrt(asFloat(g, apply(g, 'Size', [a])))))
    }),
    [6, kept],
  ],
  'GroupQueryAttention, whole heads however it is split': groupQuery(),
  'GroupQueryAttention by width': [...groupQuery(), { split: 'width' }],
  'a Scan': [
    modelOf((g, x) => {
      const a = g.Squeeze(conv(g, x), [0])
      const body = build(new Graph('body', g.graph))
      const sum = body.input('sum', { dtype: 'float32', shape: [6, 8] })
      const row = body.input('row', { dtype: 'float32', shape: [6, 8] })
      const next = body.Add(sum, row)
      body.output('sum_next', next, { dtype: 'float32' })
      body.output('scanned', body.Identity(next), { dtype: 'float32' })
      const start = tensorOf('float32', [6, 8], new Float32Array(48))
      const inputs = [start, g.Transpose(a, { perm: [1, 0, 2] })]
      const [, scanned] = g.node('Scan', inputs, {
        ...{ attributes: { body: body.graph, num_scan_inputs: 1 }, outputs: 2 },
      })
      return g.ReduceMean(scanned!, { keepdims: 0 })
    }),
    ["Scan 'Scan' repeats a subgraph"],
  ],
}

/** Two heads of the queries to one of the keys and values, and no past. */
function groupQuery(): readonly [Model, readonly (number | string)[]] {
  const model = modelOf(
    (g, x) => {
      const parts = [48, 24, 24].map((width) => g.MatMul(x, noise([8, width])))
      const lengths = [tensorOf('int32', [1], [5]), tensorOf('int32', [], [6])]
      const [y] = g.node('GroupQueryAttention', [...parts, undefined, undefined, ...lengths], {
        domain: 'com.microsoft',
        attributes: { num_heads: 6, kv_num_heads: 3 },
        outputs: 3,
      })
      return g.MatMul(y!, noise([48, 5]))
    },
    [6, 8],
  )
  return [model, [3, kept]]
}

describe('operators', () => {
  it('are all in a test', () => {
    const sources = readdirSync(import.meta.dirname)
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
      .join('\n')
    const names = Object.keys(rules).map((name) => name.split('.').at(-1)!)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(sources))).toEqual([])
  })

  it.each(Object.entries(rows))('%s', (_, row) => expectRow(row))

  it.each<[string, (g: Builder, x: Value) => Value, string]>([
    [
      'QuantizeLinear is of a quantized model',
      (g, x) =>
        head(
          g,
          g.DequantizeLinear(apply(g, 'QuantizeLinear', [conv(g, x), 0.1, quantum]), 0.1, quantum),
        ),
      "QuantizeLinear 'QuantizeLinear' belongs to a quantized model: prune before quantization",
    ],
    [
      'DynamicQuantizeLinear is of a quantized model',
      (g, x) => {
        const [y, scale, zero] = g.node('DynamicQuantizeLinear', [conv(g, x)], { outputs: 3 })
        return head(g, g.DequantizeLinear(y!, scale!, zero!))
      },
      "DynamicQuantizeLinear 'DynamicQuantizeLinear' belongs to a quantized model: prune before quantization",
    ],
  ])('%s', async (_, write, prunable) => {
    const groups = channelGroups(await prepareChannels(modelOf(write)))
    expect(groups.find(({ channels }) => channels === 6)!.prunable).toBe(prunable)
  })
})

const quantum = tensorOf('uint8', [], [0])
