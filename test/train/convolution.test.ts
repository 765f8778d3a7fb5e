// The geometry of windows, where ONNX Runtime's own inference of it cannot be trusted.
import { expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { windowOf } from '../../train/convolution.ts'
import { shapeOf } from '../../train/rule.ts'

async function windowOfPool(pads: readonly number[], strides: readonly number[]) {
  const { model, g } = newModel('pool')
  const x = g.input('x', { dtype: 'float32', shape: [1, 1, 5] })
  const y = g.MaxPool(x, { kernel_shape: [2], strides, pads, ceil_mode: 1 })
  g.output('y', y)
  await inferShapes(model)
  return windowOf(y.producer!, [2], shapeOf(x), shapeOf(y))
}

it('takes a last window that reaches past the input', async () => {
  expect((await windowOfPool([0, 0], [2])).output).toEqual([3])
  expect((await windowOfPool([1, 0], [2])).output).toEqual([3])
})

it('refuses a last window that lies in the padding alone', async () => {
  await expect(windowOfPool([0, 1], [3])).rejects.toThrow(
    "node 'MaxPool' (MaxPool): its last window would lie in the padding alone",
  )
})
