// BatchNormalization of samples that are single rows, which ONNX Runtime's WebGPU provider computes wrong, quantized or
// not, where the file does not say that they are: it is made to say so.
import { constantOf, type Graph, type Model, type Node } from '../../onnx/graph.ts'
import { inferTypes } from '../../runtime/shapes.ts'

const isNormalization = ({ opType, domain }: Node): boolean =>
  opType === 'BatchNormalization' && domain === ''

/** One sample tells how many axes there are; a model of a fixed number of samples tells it by itself. */
const inferenceFor = ({ feeds }: Graph) =>
  feeds.some(({ type }) => typeof type?.shape?.[0] === 'number') ? {} : { batch: 1 }

/**
 * States the shape `[N, C]` of what each BatchNormalization of two axes reads, in place, where the file leaves it open;
 * gives how many there were.
 *
 * In ONNX Runtime 1.30, WebGPU's kernel for inputs of unknown rank takes the parameters of one channel for four
 * (measured on the software driver); those of known rank, and of more axes, are right.
 */
export async function stateFlatInputs(model: Model, where: string): Promise<number> {
  const { graph } = model
  const open = graph.nodes.filter(
    (node) => isNormalization(node) && node.input(0).type?.shape === undefined,
  )
  if (open.length === 0) return 0
  const types = await inferTypes(model, { ...inferenceFor(graph), where })
  const flat = open.filter((node) => types.get(node.input(0))?.shape?.length === 2)
  for (const node of flat) {
    const { dtype } = types.get(node.input(0))!
    node.input(0).type = { dtype, shape: [undefined, constantOf(node.inputs[1])?.size] }
  }
  return flat.length
}
