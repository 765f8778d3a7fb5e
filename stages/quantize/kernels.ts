// What ONNX Runtime made of a quantized graph: which operators run on integers, and which stayed float.
import { rmSync } from 'node:fs'
import { allNodes, type Graph, type Model, type Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { withSession } from '../../runtime/session.ts'

/** Operators that multiply integers and give float (QGemm only without a scale of its output). */
const integerToFloat: ReadonlySet<string> = new Set([
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QGemm',
])

/** Where QGemm has the scale of its output. */
const outputScale = 7

/** Operators between float and integer numbers, which are neither. */
const conversions: ReadonlySet<string> = new Set([
  'Cast',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'QuantizeLinear',
])

/** Operators that compute nothing. */
const free: ReadonlySet<string> = new Set([
  'Constant',
  'Identity',
  'ReorderInput',
  'ReorderOutput',
  'Shape',
  'Transpose',
])

/** How the nodes of a session are distributed. */
export interface Kernels {
  readonly integer: number
  /** Operators that stayed float, each with how many nodes. */
  readonly float: ReadonlyMap<string, number>
}

/** Opens a model on the CPU with all optimizations, which write to `file` for a moment, and counts its kernels. */
export async function countKernels(model: Model, file: string): Promise<Kernels> {
  try {
    await withSession(model, { optimizedFile: file }, async () => undefined)
    return kernelsOf((await loadModel(file)).graph)
  } finally {
    rmSync(file, { force: true })
  }
}

/** Counts by following 8-bit values through the graph. */
function kernelsOf(graph: Graph): Kernels {
  const small = new Set<Value>()
  const float = new Map<string, number>()
  let integer = 0
  for (const node of allNodes(graph)) {
    const { opType, subgraphs } = node
    const computes = subgraphs.length === 0 && !conversions.has(opType) && !free.has(opType)
    const first = node.inputs[0]
    const reads = opType.startsWith('QLinear') || (first !== undefined && small.has(first))
    const givesFloat = integerToFloat.has(opType) && !node.inputs[outputScale]
    const gives = opType === 'QuantizeLinear' || (reads && !conversions.has(opType) && !givesFloat)
    if (gives) for (const output of node.outputs) if (output) small.add(output)
    if (computes && (reads || integerToFloat.has(opType))) integer++
    else if (computes) float.set(opType, (float.get(opType) ?? 0) + 1)
  }
  return { integer, float }
}
