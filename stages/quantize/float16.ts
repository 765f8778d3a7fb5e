// Half precision: weights and what flows between the nodes become float16; inputs, outputs and the nodes that cannot or
// shall not stay float32, with Casts in between.
import { setFloat16 } from '@petamoriken/float16'
import { largestFloat16 } from '../../base/float16.ts'
import type { Graph, Node, Value, ValueType } from '../../onnx/graph.ts'
import { dataTypes, elements, Tensor } from '../../onnx/tensor.ts'
import { orderedWriter } from './writer.ts'

/** The smallest positive float16, a subnormal number. */
const smallest = 2 ** -24

/** Operators that ONNX does not define for float16, or whose results have the type that an attribute says. */
const float32Operators: ReadonlySet<string> = new Set([
  'Bernoulli',
  'BlackmanWindow',
  'Cast',
  'Constant',
  'ConstantOfShape',
  'CumSum',
  'DFT',
  'EyeLike',
  'HammingWindow',
  'HannWindow',
  'MelWeightMatrix',
  'Multinomial',
  'NonMaxSuppression',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Range',
  'STFT',
  'StringNormalizer',
  'TfIdfVectorizer',
])

/** Inputs that stay float32 in operators that are otherwise float16. */
const float32Inputs: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Upsample: [1] }

/**
 * A Transpose of all but the last axis just before a MatMul: ONNX Runtime 1.30 ends the process when it optimizes the two
 * in float16 (its layout transformation; [1,0,2] before constant weights does it).
 */
const endsTheProcess = (node: Node): boolean => {
  const perm = node.opType === 'Transpose' ? node.numbers('perm') : undefined
  return (
    perm?.at(-1) === (perm?.length ?? 0) - 1 &&
    [...(node.outputs[0]?.users ?? [])].some((user) => user.opType === 'MatMul')
  )
}

/** What became of a graph. */
export interface Float16Report {
  /** Nodes that compute in float16. */
  readonly half: number
  /** Nodes with float32 inputs or outputs that stayed float32. */
  readonly single: number
  /** Constants with numbers beyond float16, each with how many were clamped. */
  readonly clamped: ReadonlyMap<string, number>
}

/** Rewrites a graph in place; nodes in `excluded` stay float32. `types` has the type of every tensor value. */
export function convertToFloat16(
  graph: Graph,
  types: ReadonlyMap<Value, ValueType>,
  excluded: ReadonlySet<Node>,
): Float16Report {
  const isFloat = (value: Value | undefined) =>
    value !== undefined && (value.tensor ?? types.get(value))?.dtype === 'float32'
  const concerned = graph.nodes.filter((node) => [...node.inputs, ...node.outputs].some(isFloat))
  const isTensor = (value: Value | undefined) => !value || value.tensor || types.has(value)
  const half = new Set(
    concerned.filter(
      (node) =>
        !excluded.has(node) &&
        node.domain === '' &&
        !float32Operators.has(node.opType) &&
        !endsTheProcess(node) &&
        node.subgraphs.length === 0 &&
        [...node.inputs, ...node.outputs].every(isTensor),
    ),
  )
  const takesHalf = (node: Node, index: number) =>
    half.has(node) && !float32Inputs[node.opType]?.includes(index)

  const clamped = new Map<string, number>()
  const writer = orderedWriter(graph)
  const cast = (from: Value, to: Value, dtype: 'float16' | 'float32') =>
    writer.node('Cast', [from], to, { to: dataTypes[dtype].code })
  const uses = (value: Value) =>
    [...value.users].flatMap((node) =>
      [...node.inputs.entries()].flatMap(([index, input]) =>
        input === value ? [{ node, index, half: takesHalf(node, index) }] : [],
      ),
    )
  /** Gives the nodes that compute in float16 another value to read. */
  const redirect = (value: Value, replacement: Value) => {
    for (const use of uses(value)) if (use.half) use.node.setInput(use.index, replacement)
  }

  for (const value of [...graph.initializers].filter(isFloat)) {
    const users = uses(value)
    if (!users.some((use) => use.half)) continue
    const { tensor, count } = halfTensor(value.tensor as Tensor)
    if (count > 0) clamped.set(value.name, count)
    if (users.every((use) => use.half) && !graph.outputs.includes(value)) {
      value.tensor = tensor
      value.type = { dtype: tensor.dtype, shape: tensor.dims }
    } else redirect(value, graph.addInitializer(value.name, tensor))
  }
  const enter = (value: Value) => {
    if (!value.tensor && isFloat(value) && uses(value).some((use) => use.half))
      redirect(value, cast(value, writer.value('h'), 'float16'))
  }
  for (const input of graph.feeds) enter(input)
  for (const node of graph.nodes) {
    writer.keep(node)
    for (const [index, output] of node.outputs.entries()) {
      if (!output || !isFloat(output)) continue
      if (!half.has(node)) {
        enter(output)
      } else if (graph.outputs.includes(output) || uses(output).some((use) => !use.half)) {
        // The name stays with the float32 value, for it may be the graph's output.
        const raw = writer.value('h')
        node.setOutput(index, raw)
        redirect(output, raw)
        cast(raw, output, 'float32')
      } else output.type = undefined
    }
  }
  writer.finish()
  return { half: half.size, single: concerned.length - half.size, clamped }
}

/**
 * A tensor in float16: rounded to nearest, clamped to ±65504; what is not zero does not become it, so that a small
 * epsilon still keeps a divisor from zero. `count` is how many numbers were clamped.
 */
export function halfTensor(tensor: Tensor): { readonly tensor: Tensor; readonly count: number } {
  const values = elements(tensor, 'float32')
  const bytes = new Uint8Array(values.length * 2)
  const view = new DataView(bytes.buffer)
  let count = 0
  for (const [index, value] of values.entries()) {
    let kept = value
    if (Math.abs(value) > largestFloat16) {
      // Infinities are meant as such (masks), and float16 has them.
      if (Number.isFinite(value)) {
        kept = Math.sign(value) * largestFloat16
        count++
      }
    } else if (value !== 0 && Math.abs(value) < smallest) kept = Math.sign(value) * smallest
    setFloat16(view, index * 2, kept, true)
  }
  return { tensor: new Tensor('float16', tensor.dims, bytes), count }
}
