// Matrix products.
import { broadcast, broadcastShape, type Operator, type Operators, refuse } from '../operator.ts'
import type { Tf, TfTensor } from '../tensorflow.ts'

const size = (dims: readonly number[]) => dims.reduce((count, dim) => count * dim, 1)

/** Batches of matrix products; the gradient of tf.matMul knows nothing of broadcast batches. */
export function matMul(tf: Tf, a: TfTensor, b: TfTensor): TfTensor {
  if (a.rank === 1) {
    const y = matMul(tf, tf.reshape(a, [1, a.size]), b)
    return tf.reshape(y, [...y.shape.slice(0, -2), y.shape.at(-1)!])
  }
  if (b.rank === 1) {
    const y = matMul(tf, a, tf.reshape(b, [b.size, 1]))
    return tf.reshape(y, y.shape.slice(0, -1))
  }
  const [rows, inner] = a.shape.slice(-2) as [number, number]
  const columns = b.shape.at(-1)!
  if (b.rank === 2) {
    const flat = tf.reshape(a, [a.size / inner, inner])
    return tf.reshape(tf.matMul(flat, b), [...a.shape.slice(0, -1), columns])
  }
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
  const left = tf.reshape(broadcast(tf, a, [...batch, rows, inner]), [size(batch), rows, inner])
  const right = tf.reshape(broadcast(tf, b, [...batch, inner, columns]), [
    size(batch),
    inner,
    columns,
  ])
  return tf.reshape(tf.matMul(left, right), [...batch, rows, columns])
}

// α · a · b + β · c
const gemm: Operator = ({ tf, inputs, node }) => {
  const [a, b, c] = inputs
  const turned = (name: string) => node.number(name, 0) === 1
  const alpha = node.number('alpha', 1)
  const beta = node.number('beta', 1)
  const plain = tf.matMul(a!, b!, turned('transA'), turned('transB'))
  const scaled = alpha === 1 ? plain : tf.mul(plain, alpha)
  if (!c) return scaled
  return tf.add(scaled, beta === 1 ? c : tf.mul(c, beta))
}

/** Every operand laid out over all letters, multiplied and summed: plain, and differentiable as it stands. */
const einsum: Operator = (context) => {
  const { tf, node } = context
  const inputs = context.inputs as TfTensor[]
  const equation = node.string('equation', '').replaceAll(' ', '')
  const [sources = '', target] = equation.split('->')
  // Broadcast axes get letters of their own, the same from the last one on.
  const ranks = sources
    .split(',')
    .map((term, index) => inputs[index]!.rank - term.replace('...', '').length)
  const named = (term: string, rank: number) =>
    term.replace('...', Array.from({ length: rank }, (_, axis) => `${rank - axis - 1}`).join(''))
  const widest = Math.max(...ranks)
  const terms = sources.split(',').map((term, index) => named(term, ranks[index]!))
  const given = target === undefined ? undefined : named(target, widest)
  const left = terms.join(',')
  if (terms.some((term) => new Set(term).size < term.length))
    return refuse(context, 'with a repeated letter in a term')
  const all = [...left.replaceAll(',', '')]
  const implied = () => [
    ...named('...', sources.includes('...') ? widest : 0),
    ...all.filter((x) => all.indexOf(x) === all.lastIndexOf(x) && !/\d/.test(x)).sort(),
  ]
  const output = given === undefined ? implied() : [...given]
  const summed = [...new Set(all)].filter((letter) => !output.includes(letter))
  const letters = [...output, ...summed]
  const laid = terms.map((term, index) => {
    const kept = letters.filter((letter) => term.includes(letter))
    const x = tf.transpose(
      inputs[index]!,
      kept.map((letter) => term.indexOf(letter)),
    )
    const dims = [...x.shape]
    return tf.reshape(
      x,
      letters.map((letter) => (term.includes(letter) ? dims.shift()! : 1)),
    )
  })
  const multiplied = laid.reduce((a, b) => tf.mul(a, b))
  if (summed.length === 0) return multiplied
  return tf.sum(
    multiplied,
    summed.map((_, index) => output.length + index),
  )
}

/** Products. */
export const products: Operators = {
  Einsum: einsum,
  Gemm: gemm,
  MatMul: ({ tf, inputs }) => matMul(tf, inputs[0]!, inputs[1]!),
  'com.microsoft.FusedMatMul': ({ tf, inputs, node }) => {
    const turn = (x: TfTensor, turned: boolean) => {
      if (!turned) return x
      const order = [...x.shape.keys()]
      order.push(order.splice(-2, 1)[0]!)
      return tf.transpose(x, order)
    }
    const product = matMul(
      tf,
      turn(inputs[0]!, node.number('transA', 0) === 1),
      turn(inputs[1]!, node.number('transB', 0) === 1),
    )
    return tf.mul(product, node.number('alpha', 1))
  },
}
