import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { lossContext } from '../../train/loss-context.ts'
import { shapeOf } from '../../train/rule.ts'
import { isSignal } from '../../train/signals.ts'

describe('signals', () => {
  it('are told from sequences by what made them', async () => {
    const { model: graphModel, g } = newModel('signal')
    const input = g.input('input', { dtype: 'float32', shape: [3, 2, 8] })
    const pooled = g.MaxPool(input, { kernel_shape: [2], strides: [2] })
    const active = g.Add(g.Relu(pooled), 1)
    const turned = g.Transpose(active, { perm: [0, 2, 1] })
    const further = g.Softmax(turned, { axis: -1 })
    const flat = g.Flatten(active)
    const values: readonly Value[] = [input, pooled, active, turned, further, flat]
    g.graph.outputs.push(flat, further)
    await inferShapes(graphModel)
    expect(values.map((value) => isSignal(value))).toEqual([false, true, true, false, false, false])
    const { context } = lossContext(
      g,
      { inputs: [input], outputs: [flat], taps: new Map([['s', active]]) },
      {
        batch: 3,
        where: 'test',
        taught: {
          outputs: 0,
          taps: [
            { name: 't', shape: [5, 2] },
            { name: 'u', shape: [2, 5], signal: false },
          ],
        },
      },
    )
    const pair = (teacher: string) => {
      const taps = [{ teacher, student: 's' }]
      const [found] = context.pairs({ taps, connector: 'auto' }, 'all', teacher)
      return [shapeOf(found!.teacher), shapeOf(found!.student)]
    }
    // [N, C, L] is an image of one row: channels from 2 to 5, places from 4 to 2.
    expect(pair('t')).toEqual([
      [3, 5, 1, 2],
      [3, 5, 1, 2],
    ])
    // A sequence of two words of the teacher is not one.
    expect(() => pair('u')).toThrow('taps do not fit')
  })
})
