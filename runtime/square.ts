// The smallest model, which shows whether a provider computes at all.
import { newModel } from '../onnx/build.ts'
import { serializeModel } from '../onnx/save.ts'

/** The file of y = x · x for 4 numbers. */
export function squareModel(): Uint8Array {
  const { model, g } = newModel('probe')
  const x = g.input('x', { dtype: 'float32', shape: [4] })
  g.output('y', g.Mul(x, x), { dtype: 'float32', shape: [4] })
  return serializeModel(model)
}
