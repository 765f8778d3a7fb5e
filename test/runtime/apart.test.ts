// Models in processes of their own.
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { serializeModel } from '../../onnx/save.ts'
import { elements, tensorOf } from '../../onnx/tensor.ts'
import { runApart } from '../../runtime/apart.ts'

function doubling(): Uint8Array {
  const { model, g } = newModel('doubling')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  g.output('y', g.Add(x, x), { dtype: 'float32', shape: ['N', 4] })
  return serializeModel(model)
}

const request = {
  model: doubling(),
  runs: [{ x: tensorOf('float32', [1, 4], [1, 2, 3, 4]) }],
  outputs: ['y'],
  where: 'model',
} as const

describe('a model in a process of its own', () => {
  it.each([
    ['cpu', 1],
    ['wasm', 1],
    // Its threads are started by the process, with the flags of the process.
    ['wasm', 2],
  ] as const)('runs on %s with %i threads, and is timed', async (provider, threads) => {
    const { results, times } = await runApart({
      ...request,
      ...{ provider, threads, rival: request.model },
    })
    expect(results.map(({ y }) => [...elements(y!, 'float32')])).toEqual([[2, 4, 6, 8]])
    expect(times.own.length).toBeGreaterThan(0)
    expect(times.rival.length).toBe(times.own.length)
  })

  it('says what is wrong with it', async () => {
    const wrong = {
      ...request,
      model: new Uint8Array([1, 2, 3]),
      provider: 'wasm',
      threads: 1,
    } as const
    await expect(runApart(wrong)).rejects.toThrow(/^model: /)
  })
})
