// A model whose layers lie in the branches of an If.
import { random } from '../../base/random.ts'
import { type Builder, build, newModel } from '../../onnx/build.ts'
import { Graph, type Model, type Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'

/** If the mean of x `[N,8]` is above zero one perceptron of 32 hidden units, else another. */
export function conditionalModel(): Model {
  const { model, g } = newModel('conditional')
  const { normal } = random(1, 'conditional')
  const matrix = (rows: number, columns: number) =>
    tensorOf('float32', [rows, columns], Float32Array.from({ length: rows * columns }, normal))
  const x = g.input('x', { dtype: 'float32', shape: ['N', 8] })
  const branch = (name: string): Graph => {
    const inner: Builder = build(new Graph(name, g.graph))
    const y: Value = inner.MatMul(inner.Relu(inner.MatMul(x, matrix(8, 32))), matrix(32, 4))
    inner.output(name, y, { dtype: 'float32' })
    return inner.graph
  }
  const attributes = { then_branch: branch('then'), else_branch: branch('else') }
  const condition = g.Greater(g.ReduceMean(x, { keepdims: 0 }), 0)
  const [y] = g.node('If', [condition], { attributes })
  g.output('y', y!, { dtype: 'float32', shape: ['N', 4] })
  return model
}
