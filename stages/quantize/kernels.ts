// What ONNX Runtime made of a quantized graph: which operators run on integers, and which stayed float.
import { rmSync } from 'node:fs'
import type { Graph, Model, Node, Value } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { withSession } from '../../runtime/session.ts'

/** Operators that give 8 bits or compute from 8 bits, whatever their inputs are called. */
const integerOperators: ReadonlySet<string> = new Set([
  'ConvInteger',
  'DynamicQuantizeMatMul',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'QGemm',
])

/** Operators between float and integer numbers, which are neither. */
const conversions: ReadonlySet<string> = new Set([
  'Cast',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'QuantizeLinear',
])

/** Operators that compute nothing. */
const free: ReadonlySet<string> = new Set(['Constant', 'Identity', 'Reorder', 'Transpose', 'Shape'])

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
export function kernelsOf(graph: Graph): Kernels {
  const small = new Set<Value>()
  const float = new Map<string, number>()
  let integer = 0
  for (const node of graph.nodes) {
    const computes = !conversions.has(node.opType) && !free.has(node.opType)
    if (isInteger(node, small)) {
      for (const output of node.outputs) if (output) small.add(output)
      if (computes) integer++
    } else if (computes) float.set(node.opType, (float.get(node.opType) ?? 0) + 1)
  }
  return { integer, float }
}

function isInteger(node: Node, small: ReadonlySet<Value>): boolean {
  if (node.opType === 'QuantizeLinear') return true
  if (conversions.has(node.opType)) return false
  const first = node.inputs[0]
  return (
    node.opType.startsWith('QLinear') ||
    integerOperators.has(node.opType) ||
    (first !== undefined && small.has(first))
  )
}
