// Rows whose number of axes the file leaves open are stated where they are normalized, and nothing else is.
import { describe, expect, it } from '@jest/globals'
import { stateFlatInputs } from '../../../stages/quantize/flat-normalization.ts'
import { normalized } from './support.ts'

describe('normalization of rows', () => {
  it.each([
    ['rows', ['n', 8], true, [[undefined, 8]]],
    ['rows of a fixed number', [4, 8], true, [[undefined, 8]]],
    ['rows that the file tells', ['n', 8], false, []],
    ['pictures', ['n', 8, 3, 3], true, []],
  ] as const)('%s: is stated where it is open', async (_what, shape, open, stated) => {
    const model = normalized(shape, open)
    const [normalization] = model.graph.nodes.slice(-1)
    const before = normalization!.input(0).type
    expect(before?.shape === undefined).toBe(open)
    expect(await stateFlatInputs(model, 'm')).toBe(stated.length)
    const after = normalization!.input(0).type
    expect(after?.shape).toEqual(stated[0] ?? before?.shape)
  })
})
