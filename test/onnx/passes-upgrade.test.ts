// Raising the opset: each rewritten operator gives the same in ONNX Runtime before and after.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { type Builder, build, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { Graph, type Model, opsetOf, type Value } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { newestOpset, upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { serializeModel } from '../../onnx/save.ts'
import { type DataType, tensorOf } from '../../onnx/tensor.ts'
import { expectSame, outputsOf } from '../support/compare.ts'

const floats = (...values: number[]) => tensorOf('float32', [values.length], values)
const integers = (...values: number[]) => tensorOf('int64', [values.length], values)

/** A model of an old opset with one input `x`. */
function oldModel(
  opset: number,
  shape: readonly number[],
  write: (g: Builder, x: Value) => Value | readonly Value[],
  dtype: DataType = 'float32',
): Model {
  const { model, g } = newModel('old', opset)
  const written = write(g, g.input('x', { dtype, shape }))
  for (const [index, value] of [written].flat().entries())
    g.output(index === 0 ? 'y' : `y${index}`, value as Value)
  return model
}

type Case = readonly [
  name: string,
  opset: number,
  shape: readonly number[],
  write: (g: Builder, x: Value) => Value | readonly Value[],
]

const node = (opType: string, attributes = {}, outputs = 1, ...inputs: Value[]) =>
  ((g, x) => g.node(opType, [x, ...inputs], { attributes, outputs })) satisfies Case[3]

/** Gives the node of a value attributes of floats, which old operators had and the builder does not know. */
function withFloats(value: Value | undefined, floats: Record<string, number | number[]>): Value {
  for (const [name, number] of Object.entries(floats))
    value!.producer!.attributes.set(
      name,
      typeof number === 'number'
        ? { type: 'float', value: number }
        : { type: 'floats', value: number },
    )
  return value!
}

/** To the end of an axis. */
const end = 2 ** 63

const cases: readonly Case[] = [
  ['Dropout 7', 7, [2, 3], node('Dropout', { ratio: 0.3 })],
  ['Dropout 10', 10, [2, 3], node('Dropout')],
  ['Clip with bounds', 7, [2, 3], (g, x) => withFloats(g.Clip(x), { min: 0.25, max: 0.75 })],
  ['Clip with one bound', 10, [2, 3], (g, x) => withFloats(g.Clip(x), { max: 0.5 })],
  ['Clip without bounds', 10, [2, 3], node('Clip')],
  [
    'Pad with a value',
    7,
    [2, 3],
    (g, x) => withFloats(g.Pad(x, { pads: [0, 1, 1, 0] }), { value: 1.5 }),
  ],
  ['Pad by reflection', 10, [2, 3], node('Pad', { pads: [0, 2, 0, 1], mode: 'reflect' })],
  ['Slice with axes', 9, [3, 4], node('Slice', { axes: [1], starts: [1], ends: [end] })],
  ['Slice without axes', 9, [3, 4], node('Slice', { starts: [0, -3], ends: [2, -1] })],
  ['TopK', 9, [3, 4], node('TopK', { k: 2, axis: 1 }, 2)],
  [
    'Scatter',
    9,
    [3],
    (g, x) => g.node('Scatter', [x, integers(2, 0), floats(7, 8)], { attributes: { axis: 0 } }),
  ],
  ['Split with sizes', 11, [6, 2], node('Split', { axis: 0, split: [1, 5] }, 2)],
  ['Split in equal parts', 11, [6, 2], node('Split', { axis: 0 }, 3)],
  ['Split in equal parts 13', 13, [6, 2], node('Split', { axis: 0 }, 3)],
  ['Squeeze with axes', 11, [1, 3, 1], node('Squeeze', { axes: [2] })],
  ['Squeeze without axes', 11, [1, 3, 1], node('Squeeze')],
  ['Unsqueeze', 11, [2, 3], node('Unsqueeze', { axes: [0, 3] })],
  ...['Softmax', 'LogSoftmax', 'Hardmax'].flatMap((opType): Case[] => [
    [`${opType} of the last axis`, 11, [2, 5], node(opType)],
    [`${opType} of the last axis of three`, 11, [2, 3, 4], node(opType, { axis: 2 })],
    [`${opType} of two axes at once`, 11, [2, 3, 4], node(opType)],
    [`${opType} of all axes at once`, 7, [2, 3, 4], node(opType, { axis: 0 })],
    [`${opType} of the last axis by a negative number`, 12, [2, 3, 4], node(opType, { axis: -1 })],
    [`${opType} of axes by a negative number`, 12, [2, 3, 4], node(opType, { axis: -2 })],
    [
      `${opType} of a value of unknown rank`,
      11,
      [2, 3, 4],
      (g, x) => g.Neg(g.node(opType, [g.Abs(x)])[0]),
    ],
    [`${opType} after Flatten`, 11, [2, 3, 4], (g, x) => g.Neg(g.node(opType, [g.Flatten(x)])[0])],
  ]),
  ...['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'].flatMap(
    (kind): Case[] => [
      [`Reduce${kind} with axes`, 11, [2, 3, 4], node(`Reduce${kind}`, { axes: [1, 2] })],
      [`Reduce${kind} of everything`, 11, [2, 3], node(`Reduce${kind}`, { keepdims: 0 })],
    ],
  ),
  ['ReduceMean 17', 17, [2, 3, 4], node('ReduceMean', { axes: [-1] })],
  [
    'BatchNormalization',
    7,
    [2, 3],
    (g, x) =>
      g.node('BatchNormalization', [x, ...[1, 2, 3, 4].map((c) => floats(c, 1, 2))], {
        attributes: { epsilon: 0.01, spatial: 1 },
      }),
  ],
  ...['nearest', 'linear'].flatMap((mode): Case[] => [
    [
      `Upsample ${mode} 7`,
      7,
      [1, 2, 3, 3],
      (g, x) => {
        const [y] = g.node('Upsample', [x], { attributes: { mode } })
        return withFloats(y, { scales: [1, 1, 2, 3] })
      },
    ],
    [
      `Upsample ${mode} 9`,
      9,
      [1, 2, 3, 3],
      (g, x) => g.node('Upsample', [x, floats(1, 1, 2, 2)], { attributes: { mode } }),
    ],
    [
      `Resize ${mode} 10`,
      10,
      [1, 2, 4, 4],
      (g, x) => g.node('Resize', [x, floats(1, 1, 1.5, 0.5)], { attributes: { mode } }),
    ],
    [
      `Resize ${mode} 10 to less by parts`,
      10,
      [1, 2, 7, 9],
      (g, x) => g.node('Resize', [x, floats(1, 1, 0.6, 0.7)], { attributes: { mode } }),
    ],
    [
      `Resize ${mode} 10 to more and less by parts`,
      10,
      [1, 2, 5, 7],
      (g, x) => g.node('Resize', [x, floats(1, 1, 1.6, 0.7)], { attributes: { mode } }),
    ],
  ]),
  [
    'Resize 11',
    11,
    [1, 1, 3, 3],
    (g, x) =>
      g.node('Resize', [x, floats(), floats(1, 1, 2, 2)], {
        attributes: { mode: 'linear', coordinate_transformation_mode: 'align_corners' },
      }),
  ],
  [
    'RoiAlign',
    11,
    [1, 1, 6, 6],
    (g, x) =>
      g.node('RoiAlign', [x, tensorOf('float32', [1, 4], [1, 1, 4, 4]), integers(0)], {
        attributes: { output_height: 2, output_width: 2 },
      }),
  ],
  ...['bilinear', 'nearest', 'bicubic'].map(
    (mode): Case => [
      `GridSample ${mode}`,
      16,
      [1, 1, 4, 4],
      (g, x) =>
        g.node('GridSample', [x, tensorOf('float32', [1, 1, 2, 2], [-0.5, 0.3, 0.1, 0.8])], {
          attributes: { mode },
        }),
    ],
  ),
  [
    'GroupNormalization',
    18,
    [2, 4, 3],
    (g, x) =>
      g.node('GroupNormalization', [x, floats(2, -1), floats(0.5, 3)], {
        attributes: { num_groups: 2 },
      }),
  ],
  ['DFT', 17, [1, 4, 1], node('DFT', { axis: 1 })],
  [
    'Dropout, Clip and Softmax in a branch',
    9,
    [2, 3],
    (g, x) => {
      const branches = [0.2, 0.6].map((max) => {
        const graph = new Graph('branch', g.graph)
        const inner = build(graph)
        const clipped = withFloats(inner.Clip(x), { max })
        const [y] = inner.node('Softmax', [clipped], { attributes: { axis: 0 } })
        y!.type = { dtype: 'float32', shape: [2, 3] }
        graph.outputs.push(y!)
        return graph
      })
      const condition = g.constant(tensorOf('bool', [], [0]))
      const attributes = { then_branch: branches[0]!, else_branch: branches[1]! }
      return g.node('If', [condition], { attributes })
    },
  ],
]

describe('upgradeOpset', () => {
  it.each(cases)('carries %s over (from opset %i)', async (_name, opset, shape, write) => {
    const old = oldModel(opset, shape, write)
    const before = await outputsOf(old, 'old')
    for (const target of [13, 18, newestOpset].filter((version) => version >= opset)) {
      const model = cloneModel(old)
      expect(upgradeOpset(model, target)).toBe(target > opset)
      expect(opsetOf(model)).toBe(target)
      expectSame(await outputsOf(parseModel(serializeModel(model)), 'old'), before, 1e-6)
    }
  })

  it('keeps a Clip of float16 and its bounds in float16', async () => {
    const { model, g } = newModel('half', 9)
    const x = g.Cast(g.input('x', { dtype: 'float32', shape: [4] }), { to: 10 })
    x.type = { dtype: 'float16', shape: [4] }
    const y = withFloats(g.Clip(x), { min: 0.25 })
    g.output('y', g.Cast(y, { to: 1 }))
    const raised = cloneModel(model)
    upgradeOpset(raised, newestOpset)
    const feeds = raised.graph.nodes.map((each) => each.opType)
    expect(feeds).toEqual(['Cast', 'Cast', 'Clip', 'Cast'])
    // ONNX Runtime has no Clip of float16 before opset 12, so there is nothing to compare with.
    const { y: values } = await outputsOf(raised, 'half')
    expect(Math.min(...new Float32Array(values!.bytes.slice().buffer))).toBe(0.25)
  })

  it('keeps Softmax of the last axis as one node', () => {
    const model = oldModel(11, [2, 5], node('Softmax'))
    upgradeOpset(model, 13)
    expect(model.graph.nodes.map((each) => each.opType)).toEqual(['Softmax'])
  })

  it('leaves a model that is as new alone', () => {
    const model = oldModel(15, [2], node('Relu'))
    const before = serializeModel(model)
    expect(upgradeOpset(model, 13)).toBe(false)
    expect(Buffer.compare(serializeModel(model), before)).toBe(0)
  })

  it('leaves operators of other domains alone', () => {
    const model = oldModel(11, [2, 3], (g, x) =>
      g.node('Squeeze', [x], { domain: 'com.example', attributes: { axes: [1] } }),
    )
    upgradeOpset(model, 21)
    expect(model.graph.nodes[0]!.numbers('axes')).toEqual([1])
  })

  it.each<[string, number, Case[3], string]>([
    [
      'an old opset',
      6,
      node('Relu'),
      'm.onnx: the opset is too old to be raised: 6 — export the model again with opset 13 or newer',
    ],
    [
      'a used mask of Dropout',
      9,
      node('Dropout', {}, 2),
      "m.onnx: cannot be raised to opset 10: Dropout 'Dropout': its mask changed its type in opset 10 — export the model again with a newer opset",
    ],
    [
      'normalization of each element',
      8,
      (g, x) => g.node('BatchNormalization', [x], { attributes: { spatial: 0 } }),
      "m.onnx: cannot be raised to opset 9: BatchNormalization 'BatchNormalization': it has 'spatial' 0, which opset 9 dropped — export the model again with a newer opset",
    ],
  ])('refuses %s by name', (_name, opset, write, message) => {
    const model = oldModel(opset, [2, 3], write)
    expect(() => upgradeOpset(model, 21, 'm.onnx')).toThrow(new UserError(message))
  })
})
