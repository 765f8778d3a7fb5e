// What is told of inputs that are made up.
import { describe, expect, it } from '@jest/globals'
import { randomDataset } from '../../benchmarks/random-data.ts'
import { madeUpInputs } from '../../pipeline/made-up.ts'
import type { ValueInfo } from '../../runtime/session.ts'

describe('without data', () => {
  it('constants and shapes are known', () => {
    const inputs = { sr: { constant: 16000 } }
    expect(madeUpInputs({ inputs, shapes: { x: [1, 512] } }, 'test')).toEqual({
      shapes: { x: [1, 512] },
      constants: { sr: 16000 },
    })
    expect(madeUpInputs({}, 'test')).toEqual({ constants: {} })
  })

  it.each([
    [{ task: 'regression' }, /^test: --task says nothing of random inputs — /],
    [{ preprocess: { mean: 0.5 } }, /^test: --preprocess says nothing of random inputs — /],
    [{ inputs: { x: { column: 'text' } } }, /^test: inputs\.x: .*only a constant.*text/],
  ] as const)('%j is refused', (request, message) => {
    expect(() => madeUpInputs(request, 'test')).toThrow(message)
  })
})

it('is nothing of inputs that data has, whose shapes are its own', () => {
  expect(madeUpInputs({ data: { source: 'digits' }, task: 'match' }, 'test')).toBeUndefined()
  expect(() => madeUpInputs({ data: { source: 'digits' }, shapes: { x: [1] } }, 'test')).toThrow(
    /^test: the shapes come from the data — /,
  )
})

describe('made-up samples', () => {
  const inputs: ValueInfo[] = [
    { name: 'x', dtype: 'float32', shape: [null, null] },
    { name: 'state', dtype: 'float32', shape: [2, null, 3] },
    { name: 'rate', dtype: 'int64', shape: [] },
  ] as never
  const made = (options: Partial<Parameters<typeof randomDataset>[1]>) =>
    randomDataset(inputs, { seed: 1, where: 'test', ...options })

  it('have the shapes and constants that were told', () => {
    const { columns, inputs: others } = made({ shapes: { x: [1, 7] }, constants: { rate: 8000 } })
    expect(columns.map(({ name, shape }) => [name, [...shape]])).toEqual([['x', [7]]])
    expect(others).toEqual({ state: { constant: 0 }, rate: { constant: 8000 } })
  })

  it.each([
    [{ shapes: { x: [4, 7] } }, /^test: input 'x': its first dimension is the batch.*'4' — /],
    [{ shapes: { y: [1, 7] } }, /^test: has no input of that name: 'y' — /],
    [{ constants: { y: 1 } }, /^test: has no input of that name: 'y' — /],
    [{ shapes: { x: [1, 7, 7] } }, /^test: input 'x' cannot have the shape \[1,7,7\] — /],
  ])('refuse %j', (options, message) => {
    expect(() => made(options)).toThrow(message)
  })
})
