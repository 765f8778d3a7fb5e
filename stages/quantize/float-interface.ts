// The interface of a float16 model as its float32 parent has it, so that both can be fed the same and compared.
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import { dataTypes } from '../../onnx/tensor.ts'
import { orderedWriter } from './writer.ts'

/**
 * A model that takes and gives float32 where another does, although it takes and gives float16 itself: a copy, or the model
 * where it need not change.
 */
export function withInterfaceOf(like: Model, model: Model): Model {
  const float = new Set(
    [...like.graph.feeds, ...like.graph.outputs].flatMap(({ name, type }) =>
      type?.dtype === 'float32' ? [name] : [],
    ),
  )
  const isHalf = ({ name, type }: Value) => type?.dtype === 'float16' && float.has(name)
  if (![...model.graph.feeds, ...model.graph.outputs].some(isHalf)) return model
  const copy = cloneModel(model)
  const { graph } = copy
  const writer = orderedWriter(graph)
  for (const [index, input] of graph.inputs.entries()) {
    if (input.tensor || !isHalf(input)) continue
    const { name, type } = input
    input.name = graph.uniqueName(name)
    const single = graph.addInput(name, { ...type, dtype: 'float32' })
    single.name = name
    graph.inputs.splice(graph.inputs.indexOf(single), 1)
    graph.inputs[index] = single
    writer.node('Cast', [single], input, { to: dataTypes.float16.code })
    input.type = undefined
  }
  for (const node of graph.nodes) writer.keep(node)
  for (const [index, output] of graph.outputs.entries()) {
    if (!isHalf(output)) continue
    const { name, type } = output
    output.name = graph.uniqueName(name)
    const single = writer.value(name)
    single.name = name
    single.type = { ...type, dtype: 'float32' }
    output.type = undefined
    graph.outputs[index] = writer.node('Cast', [output], single, { to: dataTypes.float32.code })
  }
  writer.finish()
  return copy
}
