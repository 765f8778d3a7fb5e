// Small nets for tests of criteria, and what they compute in float64, written from ONNX's definitions alone.
import { random } from '../../../base/random.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { type Attributes, newModel } from '../../../onnx/build.ts'
import type { Model, Value } from '../../../onnx/graph.ts'
import { elements, numbers, type Tensor, tensorOf } from '../../../onnx/tensor.ts'
import type { StageContext } from '../../../stages/stage.ts'
import { type NdArray, nd } from '../../support/reference/nd.ts'
import { reference } from '../../support/reference.ts'
import { datasetOf } from '../../support/samples.ts'
import { contextOf } from '../support.ts'

/** Classes of all nets and data here. */
export const classes = 4

/** Seeded normal numbers as a tensor. */
export function normals(dims: readonly number[], label: string, scale = 1, shift = 0): Tensor {
  const source = random(7, label)
  const size = dims.reduce((product, dim) => product * dim, 1)
  const values = Float32Array.from({ length: size }, () => source.normal() * scale + shift)
  return tensorOf('float32', dims, values)
}

/** x `[N, 8]` → Gemm 6 → Tanh → Gemm 4. */
export function mlp(): Model {
  const { model, g } = newModel('mlp')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 8] })
  const w1 = g.constant(normals([8, 6], 'w1', 0.5), 'w1')
  const hidden = g.Tanh(g.Gemm(x, w1, g.constant(normals([6], 'b1', 0.3), 'b1')))
  const w2 = g.constant(normals([4, 6], 'w2', 0.5), 'w2')
  const bias = g.constant(normals([4], 'b2', 0.3), 'b2')
  g.output('y', g.Gemm(hidden, w2, bias, { transB: 1 }), { dtype: 'float32', shape: ['N', 4] })
  return model
}

/** x `[N, 2, 6, 6]` → Conv 5 → BatchNormalization → Relu → Conv 4 with strides → Relu → Flatten → Gemm 4. */
export function convNet(): Model {
  const { model, g } = newModel('conv-net')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 2, 6, 6] })
  const one = g.Conv(x, g.constant(normals([5, 2, 3, 3], 'f1', 0.4), 'f1'), {
    pads: [1, 1, 1, 1],
    kernel_shape: [3, 3],
  })
  const normalised = g.BatchNormalization(
    one,
    g.constant(normals([5], 'gamma', 0.5, 0.4), 'gamma'),
    g.constant(normals([5], 'beta', 0.5), 'beta'),
    g.constant(normals([5], 'mean', 0.3), 'mean'),
    g.constant(tensorOf('float32', [5], [0.5, 1, 2, 0.8, 1.5]), 'var'),
  )
  const two = g.Conv(
    g.Relu(normalised),
    g.constant(normals([4, 5, 3, 3], 'f2', 0.3), 'f2'),
    g.constant(normals([4], 'c2', 0.3), 'c2'),
    { pads: [1, 0, 1, 0], strides: [2, 1], kernel_shape: [3, 3] },
  )
  const flat = g.Flatten(g.Relu(two))
  const w3 = g.constant(normals([48, 4], 'w3', 0.2), 'w3')
  g.output('y', g.Gemm(flat, w3), { dtype: 'float32', shape: ['N', 4] })
  return model
}

/** Seeded samples of a shape; the inputs of one sample depend on each other. */
export function samples(shape: readonly number[], size: number): Dataset {
  return datasetOf({
    source: 'normal',
    shape,
    classes: ['a', 'b', 'c', 'd'],
    labels: Int32Array.from({ length: size }, (_, index) => (index * index + 1) % classes),
    write(index, into) {
      const source = random(3, index)
      for (let at = 0; at < into.length; at++)
        into[at] = source.normal() + (at > 0 ? 0.5 * into[at - 1]! : 0)
    },
  })
}

/** A context whose data are so many samples. */
export function contextFor(model: Model, shape: readonly number[], size = 40): StageContext {
  const data = samples(shape, size)
  return {
    ...contextOf(model).context,
    data: { train: data, validation: data, calibration: data, test: data },
  }
}

/** The values of one column of samples, `[size, …shape]`. */
export function inputsOf(data: Dataset, start = 0, end = data.size): NdArray {
  const { shape } = data.columns[0]!
  const width = shape.reduce((product, dim) => product * dim, 1)
  const values = new Float32Array((end - start) * width)
  for (let index = start; index < end; index++) data.read(index, 0, values, (index - start) * width)
  return nd([end - start, ...shape], values)
}

/** Every value of a model for an input, in float64; `weights` takes the place of initializers. */
export function evaluated(
  { graph }: Model,
  input: NdArray,
  weights: ReadonlyMap<string, Float64Array> = new Map(),
): Map<string, NdArray> {
  const values = new Map<Value, NdArray>([[graph.inputs[0]!, input]])
  for (const value of graph.initializers)
    values.set(value, nd(value.tensor!.dims, weights.get(value.name) ?? numbers(value.tensor!)))
  for (const node of graph.nodes) {
    const attributes: Record<string, Attributes[string]> = {}
    for (const [name, { value }] of node.attributes) attributes[name] = value as Attributes[string]
    const inputs = node.inputs.map((value) => value && values.get(value))
    values.set(node.output(), reference[node.opType]!(inputs, attributes))
  }
  return new Map([...values].map(([{ name }, value]) => [name, value]))
}

/** The mean cross-entropy of a model on some of the samples. */
export function lossOf(
  model: Model,
  data: Dataset,
  weights?: ReadonlyMap<string, Float64Array>,
  [start, end]: readonly [number, number] = [0, data.size],
): number {
  const logits = evaluated(model, inputsOf(data, start, end), weights).get('y')!
  const logarithms = reference.LogSoftmax!([logits], {}).data
  let sum = 0
  for (let row = 0; row < end - start; row++)
    sum -= logarithms[row * classes + data.labels[start + row]!]!
  return sum / (end - start)
}

/** The numbers of an initializer. */
export function weightOf({ graph }: Model, name: string): Float64Array {
  const value = [...graph.initializers].find((each) => each.name === name)!
  return Float64Array.from(elements(value.tensor!, 'float32'))
}

/** The gradient of {@link lossOf} by one initializer, by central differences. */
export function gradientOf(
  model: Model,
  data: Dataset,
  name: string,
  range?: readonly [number, number],
): Float64Array {
  const weights = weightOf(model, name)
  const h = 1e-5
  return weights.map((weight, at) => {
    const at1 = (value: number) =>
      lossOf(model, data, new Map([[name, weights.with(at, value)]]), range)
    return (at1(weight + h) - at1(weight - h)) / (2 * h)
  })
}
