// What a training is fed with.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { batches } from '../../data/batches.ts'
import type { TargetKind } from '../../data/targets.ts'
import { newModel } from '../../onnx/build.ts'
import { type DataType, numbers, Tensor } from '../../onnx/tensor.ts'
import { type FedBatch, feedingOf } from '../../stages/feeding.ts'
import { mixedData, numbersOf } from './mixed-data.ts'

/** A graph of inputs by name. */
function graphOf(inputs: Readonly<Record<string, readonly [DataType, ...(number | string)[]]>>) {
  const { model, g } = newModel('m')
  for (const [name, [dtype, ...shape]] of Object.entries(inputs)) g.input(name, { dtype, shape })
  return model.graph
}

const graph = graphOf({
  scale: ['float32', 1],
  attention_mask: ['int64', 'N', 'T'],
  input_ids: ['int64', 'N', 'T'],
  v: ['float32', 'N', 2],
})

const mapped = { scale: { constant: 3 }, input_ids: { column: 'text' } } as const
const data = mixedData(7, { inputs: mapped })
const rowsOf = (first: number, samples: readonly number[], count: number) =>
  samples.flatMap((sample) => numbersOf(sample, first, count))

describe('batches as a training takes them', () => {
  it('have the inputs of the graph, in its order and types, but for constants', async () => {
    const feeding = feedingOf(graph, data, { target: 'class' }, 3)
    const seen: FedBatch[] = []
    for await (const fed of feeding.batches(batches(data, { size: 3, dropLast: true }))) {
      seen.push(fed)
      const samples = [...fed.indices]
      const [mask, ids, v] = fed.inputs
      expect(fed.inputs).toHaveLength(3)
      const int64 = (view: ArrayBufferView) =>
        numbers(
          new Tensor(
            'int64',
            [3, 3],
            new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
          ),
        )
      expect(int64(ids!)).toEqual(rowsOf(1, samples, 3))
      expect(int64(mask!)).toEqual(samples.flatMap((sample) => [1, 1, sample % 2]))
      expect([...(v as Float32Array)]).toEqual(rowsOf(0.5, samples, 2))
      expect([...fed.labels!]).toEqual(samples.map((sample) => sample % 3))
      expect(fed.batch.indices).toBe(fed.indices)
      expect(fed.size).toBe(3)
    }
    expect(seen).toHaveLength(2)
  })

  it('come with what the graph must know: dimensions, constants, targets', () => {
    const { dims, constants, classes, targetWidth, group, columns } = feedingOf(
      graph,
      data,
      { target: 'class' },
      4,
    )
    expect(dims).toEqual({ N: 4, T: 3 })
    expect(Object.keys(constants!)).toEqual(['scale'])
    expect(numbers(constants!.scale!)).toEqual([3])
    expect([classes, targetWidth, group]).toEqual([3, 2, 1])
    expect(columns.map((at) => data.columns[at]!.name).sort()).toEqual([
      ...['text', 'text.attention_mask', 'v'],
    ])
  })

  it.each<[TargetKind, object]>([
    ['class', { labels: Int32Array.of(0, 1) }],
    ['tags', { labels: Int32Array.of(0, -1, 1, -1) }],
    ['classes', { values: Float32Array.of(0, -1, 1, -1) }],
    ['values', { values: Float32Array.of(0, -1, 1, -1) }],
    ['relevance', { values: Float32Array.of(0, -1, 1, -1) }],
    ['none', {}],
  ])('say what a task of kind %s compares with', async (target, expected) => {
    const feeding = feedingOf(graph, data, { target }, 2)
    for await (const fed of feeding.batches(batches(data, { size: 2 }))) {
      const { labels, values } = fed
      expect({ ...(labels && { labels }), ...(values && { values }) }).toEqual(expected)
      break
    }
  })

  it('need no column that the model does not read', async () => {
    const only = graphOf({ x: ['float16', 'N', 2] })
    const of = mixedData(4, { inputs: { x: { column: 'v' } } })
    const feeding = feedingOf(only, of, { target: 'class' }, 2)
    expect(feeding.columns).toEqual([0])
    const made = batches(of, { size: 2, columns: feeding.columns })
    for await (const { inputs, batch } of feeding.batches(made)) {
      expect(inputs.map(({ byteLength }) => byteLength)).toEqual([8])
      expect(batch.columns.map(({ length }) => length)).toEqual([4, 0, 0, 0, 0, 0])
    }
  })

  it('that do not fit the model are refused', () => {
    const other = graphOf({ x: ['float32', 'N', 5] })
    const of = mixedData(2, { inputs: { x: { column: 'v' } } })
    expect(() => feedingOf(other, of, { target: 'class' }, 2, 'a.onnx')).toThrow(UserError)
    expect(() => feedingOf(other, of, { target: 'class' }, 2, 'a.onnx')).toThrow(
      "a.onnx: input 'x' [N,5] does not fit the data: one sample is [2]",
    )
  })
})
