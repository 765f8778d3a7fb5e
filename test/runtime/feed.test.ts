// Feeding models with samples: types, constants, chunks and the state that is carried.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import { feederFor, runSteps } from '../../runtime/feed.ts'
import { withSession } from '../../runtime/session.ts'
import { counting, samplesOf } from './samples.ts'

const info = (
  name: string,
  dtype: 'float32' | 'int64' | 'int32' | 'uint8',
  ...shape: (number | string)[]
) => ({
  name,
  dtype,
  shape,
})

const contents = (feeds: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, dims }]) => [
      name,
      `${dtype} [${dims}] ${numbers(feeds[name]!)}`,
    ]),
  )

describe('a feeder', () => {
  it('gives each input the numbers of its column in its type', () => {
    const samples = samplesOf([
      counting('ids', 'int32', [2], 3),
      counting('mask', 'int32', [2], 3),
      counting('image', 'float32', [1, 2], 3),
      counting('image.raw', 'uint8', [2, 1], 3),
    ])
    const session = {
      inputs: [
        info('mask', 'int32', 'N', 2),
        info('ids', 'int64', 'N', 'T'),
        info('image', 'float32', 'N', 1, 2),
        info('image.raw', 'uint8', 'N', 2, 1),
      ],
    }
    const feeder = feederFor(session, samples, { batch: 2, where: 'm' })
    expect(feeder.batch).toBe(2)
    feeder.load([2, 0])
    expect(contents(feeder.feeds(0))).toEqual({
      mask: 'int32 [2,2] 4,5,0,1',
      ids: 'int64 [2,2] 4,5,0,1',
      image: 'float32 [2,1,2] 4,5,0,1',
      'image.raw': 'uint8 [2,2,1] 4,5,0,1',
    })
  })

  it('repeats samples where there are fewer than the model demands', () => {
    const samples = samplesOf([counting('x', 'float32', [1], 3)])
    const feeder = feederFor({ inputs: [info('x', 'float32', 5, 1)] }, samples, {
      batch: 64,
      where: 'm',
    })
    expect(feeder.batch).toBe(5)
    feeder.load([0, 1, 2])
    expect(contents(feeder.feeds(0))).toEqual({ x: 'float32 [5,1] 0,1,2,0,1' })
    expect(() => feeder.load([])).toThrow('internal')
    expect(() => feeder.load([0, 1, 2, 0, 1, 2])).toThrow('internal')
  })

  it('takes fewer samples at once where they are large', () => {
    const wide = {
      size: 1000,
      columns: [{ name: 'x', dtype: 'uint8' as const, shape: [2 ** 19] }],
      read: () => undefined,
    }
    const inputs = [info('x', 'uint8', 'N', 'T')]
    expect(feederFor({ inputs }, wide, { batch: 64, where: 'm' }).batch).toBe(2)
    expect(feederFor({ inputs }, wide, { batch: 3, where: 'm', exactly: true }).batch).toBe(3)
  })

  it('gives an input without chunks all of its column at every step', () => {
    const samples = samplesOf(
      [counting('x', 'float32', [4], 2), counting('y', 'float32', [2], 2)],
      { x: { column: 'x', chunk: 2 } },
    )
    const inputs = [info('x', 'float32', 'N', 2), info('y', 'float32', 'N', 2)]
    const feeder = feederFor({ inputs }, samples, { batch: 2, where: 'm' })
    feeder.load([0, 1])
    expect(feeder.binding.steps).toBe(2)
    expect(contents(feeder.feeds(0))).toEqual({
      x: 'float32 [2,2] 0,1,4,5',
      y: 'float32 [2,2] 0,1,2,3',
    })
    expect(contents(feeder.feeds(1))).toEqual({
      x: 'float32 [2,2] 2,3,6,7',
      y: 'float32 [2,2] 0,1,2,3',
    })
  })
})

/** y = sum of x + 2 s of the step; s of the next step = y. */
function recurrent(dtype: 'float32' | 'int32' = 'float32'): Model {
  const { model, g } = newModel('recurrent')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
  const s = g.input('s', { dtype, shape: ['N', 1] })
  const k = g.input('k', { dtype: 'int64', shape: [] })
  const y = g.Add(
    g.ReduceSum(x, [1], { keepdims: 1 }),
    g.Mul(g.Cast(s, { to: 1 }), g.Cast(k, { to: 1 })),
  )
  g.output('y', y, { dtype: 'float32', shape: ['N', 1] })
  g.output('next', g.Identity(y), { dtype: 'float32', shape: ['N', 1] })
  return model
}

const mapped = {
  x: { column: 'wave', chunk: 3 },
  s: { carry: 'next' },
  k: { constant: 2 },
} as const

describe('carried state', () => {
  it('makes chunks the recurrence that one writes by hand', async () => {
    const wave = counting('wave', 'float32', [9], 4)
    const samples = samplesOf([wave], mapped)
    const found = await withSession(recurrent(), {}, async (session) => {
      const feeder = feederFor(session, samples, { batch: 3, where: 'm' })
      const steps: number[][] = []
      for (const indices of [[3, 1, 0], [2]]) {
        feeder.load(indices)
        for await (const { y } of runSteps(session, feeder, ['y'])) steps.push(numbers(y!))
      }
      return steps
    })
    const byHand = (sample: number) => {
      let state = 0
      return [0, 3, 6].map((start) => {
        const chunk = wave.values[sample]!.slice(start, start + 3)
        state = chunk.reduce((sum, value) => sum + value, 0) + 2 * state
        return state
      })
    }
    const expected = [
      [3, 1, 0],
      [2, 2, 2],
    ].flatMap((order) => [0, 1, 2].map((step) => order.map((sample) => byHand(sample)[step])))
    expect(found).toEqual(expected)
  })

  it('must come out as it goes in', async () => {
    const samples = samplesOf([counting('wave', 'float32', [9], 1)], mapped)
    const run = withSession(recurrent('int32'), {}, async (session) => {
      const feeder = feederFor(session, samples, { batch: 1, where: 'm' })
      feeder.load([0])
      for await (const _ of runSteps(session, feeder, ['y']));
    })
    await expect(run).rejects.toThrow(
      "inputs.s.carry: output 'next' is float32 [1,1], the input int32 [1,1]",
    )
  })
})
