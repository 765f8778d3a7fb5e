// What float16 has to know of operators: which do not have it, which inputs and outputs never do, and where a bound may be
// clamped.
import type { Node } from '../../onnx/graph.ts'

/** Operators that ONNX does not define for float16, or whose results have the type that an attribute says. */
const float32Operators: ReadonlySet<string> = new Set([
  'Bernoulli',
  'BlackmanWindow',
  'Cast',
  'Celu',
  'Constant',
  'ConstantOfShape',
  'CumSum',
  'DFT',
  'EyeLike',
  'HammingWindow',
  'HannWindow',
  'IsInf',
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

/** Outputs that stay float32 in operators that are otherwise float16: statistics of the input. */
const float32Outputs: Readonly<Record<string, readonly number[]>> = { LayerNormalization: [1, 2] }

/** Operators to which a number beyond float16 is a bound, a mask or filling, so that the largest one does as well. */
const bounding: ReadonlySet<string> = new Set([
  'Add',
  'Clip',
  'Concat',
  'Equal',
  'Expand',
  'Gather',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Max',
  'Min',
  'Pad',
  'Reshape',
  'Slice',
  'Sub',
  'Where',
])

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

/** Whether a node can compute in float16; what has subgraphs passes its values on as they are. */
export const canBeHalf = (node: Node): boolean =>
  node.domain === '' &&
  !float32Operators.has(node.opType) &&
  !endsTheProcess(node) &&
  node.subgraphs.length === 0

/** Whether an input of a node that computes in float16 is float16. */
export const inputIsHalf = ({ opType }: Node, index: number): boolean =>
  !float32Inputs[opType]?.includes(index)

/** Whether an output of a node that computes in float16 is float16. */
export const outputIsHalf = ({ opType }: Node, index: number): boolean =>
  !float32Outputs[opType]?.includes(index)

/** Whether a constant of a node may be clamped to what float16 holds without changing what it means. */
export const mayBeClamped = ({ opType }: Node): boolean => bounding.has(opType)
