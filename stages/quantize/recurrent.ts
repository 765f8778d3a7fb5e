// LSTM in 8 bits: ONNX Runtime has an operator of its own that quantizes its input and state at run time and multiplies
// them with 8-bit weights, one scale for each gate's channel.
import {
  constantOf,
  declareDomains,
  type Graph,
  type Model,
  Node,
  type Value,
} from '../../onnx/graph.ts'
import { elements, type Tensor } from '../../onnx/tensor.ts'
import { quantizeWeights } from './arithmetic.ts'
import { type AddConstant, shareConstants } from './constants.ts'
import { type DynamicOptions, middleOf, storedAs } from './dynamic.ts'

/** Inputs of LSTM that its integer operator has as well, at the same place. */
const sharedInputs = 8

/** Writes every LSTM with constant weights that is not in `excluded` in 8 bits, in place; gives how many there were. */
export function quantizeRecurrent(
  model: Model,
  excluded: ReadonlySet<Node>,
  options: DynamicOptions,
): number {
  const { graph } = model
  const add = shareConstants(graph)
  /** Weights that were stored already: several LSTMs, those of two branches above all, may have the same. */
  const known = new Map<Tensor, Stored>()
  const count = quantizeIn(graph, excluded, (tensor) => {
    const stored = known.get(tensor) ?? store(graph, add, tensor, options)
    known.set(tensor, stored)
    return stored
  })
  if (count > 0) declareDomains(model)
  return count
}

function quantizeIn(
  graph: Graph,
  excluded: ReadonlySet<Node>,
  stored: (tensor: Tensor) => Stored,
): number {
  let count = 0
  for (const node of graph.nodes) {
    for (const subgraph of node.subgraphs) count += quantizeIn(subgraph, excluded, stored)
    const weights = [constantOf(node.inputs[1]), constantOf(node.inputs[2])]
    if (node.opType !== 'LSTM' || node.domain !== '' || excluded.has(node)) continue
    // Peepholes, the eighth input, and another layout have no kernel.
    if (node.inputs[7] || node.number('layout', 0) !== 0) continue
    if (weights.some((tensor) => tensor?.dtype !== 'float32' || tensor.dims.length !== 3)) continue
    const [input, state] = weights.map((tensor) => stored(tensor!)) as [Stored, Stored]
    const inputs = [...node.inputs]
    while (inputs.length < sharedInputs) inputs.push(undefined)
    inputs[1] = input.values
    inputs[2] = state.values
    const outputs = [...node.outputs]
    const quantized = new Node(
      'DynamicQuantizeLSTM',
      [...inputs, input.scale, input.zeroPoint, state.scale, state.zeroPoint],
      [],
      {
        name: node.name,
        domain: 'com.microsoft',
        attributes: [...node.attributes].filter(([name]) => name !== 'layout'),
      },
    )
    graph.add(quantized, node)
    graph.remove(node)
    for (const [index, output] of outputs.entries()) {
      node.setOutput(index, undefined)
      quantized.setOutput(index, output)
    }
    count++
  }
  return count
}

interface Stored {
  readonly values: Value
  readonly scale: Value
  readonly zeroPoint: Value
}

/** [directions, 4 * hidden, width] becomes [directions, width, 4 * hidden], with a scale a direction or a channel. */
function store(
  graph: Graph,
  add: AddConstant,
  tensor: Tensor,
  { weightBits, perChannel, dtype }: DynamicOptions,
): Stored {
  const [directions, channels, width] = tensor.dims as [number, number, number]
  const weights = elements(tensor, 'float32')
  const moved = new Float32Array(weights.length)
  for (let direction = 0; direction < directions; direction++)
    for (let channel = 0; channel < channels; channel++)
      for (let place = 0; place < width; place++)
        moved[(direction * width + place) * channels + channel] =
          weights[(direction * channels + channel) * width + place]!
  const size = channels * width
  const parts = Array.from({ length: directions }, (_, direction) =>
    quantizeWeights(
      moved.subarray(direction * size, (direction + 1) * size),
      [width, channels],
      perChannel ? 1 : undefined,
      weightBits,
    ),
  )
  const values = new Int8Array(weights.length)
  for (const [direction, part] of parts.entries()) values.set(part.values, direction * size)
  const scales = Float32Array.from(parts.flatMap((part) => [...part.scales]))
  const dims = perChannel ? [directions, channels] : [directions]
  return {
    values: graph.addInitializer('w', storedAs(dtype, [directions, width, channels], values)),
    scale: add('s', 'float32', dims, scales),
    zeroPoint: add(
      'z',
      dtype,
      dims,
      Array.from(scales, () => middleOf[dtype]),
    ),
  }
}
