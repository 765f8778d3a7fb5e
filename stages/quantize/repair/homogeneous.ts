// Through which operators a positive factor of a channel passes unchanged: f(c·x) = c·f(x), channel by channel.
import { constantOf, type Node, type Value } from '../../../onnx/graph.ts'
import { numbers } from '../../../onnx/tensor.ts'

/** Whether the factor of a value that the node takes (or makes) passes; the channel rules say which channel goes where. */
type Passes = (node: Node, value: Value) => boolean

const always: Passes = () => true

/** Sums pass a common factor; whatever is constant among the terms has to take it up. */
const sum: Passes = always

/** A product takes the factor of the one side that flows, the other is constant. */
const product: Passes = ({ inputs, outputs }, value) => {
  const flowing = inputs.filter((input) => input && !constantOf(input))
  return flowing.length === 1 && (flowing[0] === value || outputs[0] === value)
}

/** The operators, by name in the standard domain. */
const homogeneous: Readonly<Record<string, Passes>> = {
  Relu: always,
  LeakyRelu: always,
  PRelu: (node, value) =>
    constantOf(node.inputs[1]) !== undefined && value !== (node.inputs[1] as Value),
  Abs: always,
  Neg: always,
  Identity: always,
  Dropout: always,
  Add: sum,
  Sub: sum,
  Sum: sum,
  Mul: product,
  Div: (node, value) => product(node, value) && constantOf(node.inputs[1]) !== undefined,
  MaxPool: always,
  AveragePool: always,
  GlobalAveragePool: always,
  GlobalMaxPool: always,
  ReduceMean: always,
  ReduceSum: always,
  ReduceMax: always,
  ReduceMin: always,
  Flatten: always,
  Reshape: always,
  Transpose: always,
  Squeeze: always,
  Unsqueeze: always,
  Concat: always,
  Slice: always,
  Split: always,
  Gather: (node, value) => value !== node.inputs[1],
  DepthToSpace: always,
  SpaceToDepth: always,
  Expand: always,
  Tile: always,
  Pad: (node) => {
    const filling = constantOf(node.inputs[2])
    return (
      node.string('mode', 'constant') !== 'constant' ||
      node.inputs[2] === undefined ||
      (filling?.dtype === 'float32' && numbers(filling).every((value) => value === 0))
    )
  },
  Resize: (node) =>
    node.string('coordinate_transformation_mode', 'half_pixel') !== 'tf_crop_and_resize',
}

/** Operators that tell the size of what they are given, and nothing else. */
export const tellSizes: ReadonlySet<string> = new Set(['Shape', 'Size'])

/** Operators all of whose inputs are terms of a sum. */
export const sums: ReadonlySet<string> = new Set(['Add', 'Sub', 'Sum'])

/** Whether a factor of a value, positive and channel by channel, passes through a node. */
export const isHomogeneous = (node: Node, value: Value): boolean =>
  node.domain === '' &&
  Object.hasOwn(homogeneous, node.opType) &&
  homogeneous[node.opType]!(node, value)
