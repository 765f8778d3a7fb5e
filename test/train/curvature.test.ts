import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { newModel } from '../../onnx/build.ts'
import type { Model } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { batchGradients } from '../../train/batch-gradients.ts'
import { curvatures } from '../../train/curvature.ts'
import { relativeError } from '../support/reference.ts'
import { batchesOf, classes, patterns, settingsFor } from './support.ts'

const training = patterns(48, 1)

/** x `[N, 2, 8, 8]` → Conv 3 → Tanh → Flatten → MatMul, the filter and the matrix moved along a direction. */
function net(along?: {
  readonly by: number
  readonly signs: ReadonlyMap<string, number[]>
}): Model {
  const { model, g } = newModel('net')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 8, 8] })
  const weight = (dims: readonly number[], name: string) => {
    const source = random(5, name)
    const size = dims.reduce((product, dim) => product * dim, 1)
    const signs = along?.signs.get(name)
    const values = Float32Array.from(
      { length: size },
      (_, at) => source.normal() / 4 + (signs ? signs[at]! * along!.by : 0),
    )
    return g.constant(tensorOf('float32', dims, values), name)
  }
  const hidden = g.Tanh(g.Conv(x, weight([3, 2, 3, 3], 'filter'), { strides: [2, 2] }))
  g.output('y', g.MatMul(g.Flatten(hidden), weight([27, classes], 'matrix')))
  return model
}

const settings = () => {
  const { losses, threads, provider } = settingsFor()
  return { batches: batchesOf(training, 16, 1), batch: 16, losses, classes, threads, provider }
}

/** What the generator yields, copied. */
async function all(
  lots: AsyncIterable<ReadonlyMap<string, Float32Array>>,
): Promise<Map<string, Float32Array>[]> {
  const found: Map<string, Float32Array>[] = []
  for await (const lot of lots)
    found.push(new Map([...lot].map(([name, values]) => [name, values.slice()])))
  return found
}

describe('curvatures', () => {
  it('are v ⊙ Hv: the difference of the gradients a little to both sides', async () => {
    const drawn: number[] = []
    const source = random(1, 'signs')
    const found = await all(
      curvatures(net(), settings(), () => {
        drawn.push(source.uniform() < 0.5 ? -1 : 1)
        return drawn.at(-1)!
      }),
    )
    expect(found).toHaveLength(3)
    const names = [...found[0]!.keys()]
    const length = drawn.length / 3
    for (const [batch, own] of found.entries()) {
      const signs = new Map<string, number[]>()
      let at = batch * length
      for (const name of names) {
        const size = own.get(name)!.length
        signs.set(name, drawn.slice(at, at + size))
        at += size
      }
      const by = 3e-3
      const [above, below] = [
        (await all(batchGradients(net({ by, signs }), settings())))[batch]!,
        (await all(batchGradients(net({ by: -by, signs }), settings())))[batch]!,
      ]
      for (const name of names) {
        const expected = above
          .get(name)!
          .map(
            (value, index) =>
              ((value - below.get(name)![index]!) / (2 * by)) * signs.get(name)![index]!,
          )
        expect(relativeError(own.get(name)!, expected)).toBeLessThan(2e-3)
      }
    }
  })
})
