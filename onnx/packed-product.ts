// The weights of ONNX Runtime's MatMulNBits: integers in blocks with a scale and a zero point each, packed into bytes.
import { fromHalves } from '../base/float16.ts'
import { type Bits, unpackBits } from './bits.ts'
import { build } from './build.ts'
import { constantOf, type Graph, type Node } from './graph.ts'
import { elements, type Tensor, tensorOf } from './tensor.ts'

/** A matrix `[outputs, inputs]`: (codes - zeros) * scales. */
export interface PackedProduct {
  readonly outputs: number
  readonly inputs: number
  /** So many neighbouring inputs share a scale and a zero point. */
  readonly block: number
  /** `[outputs, inputs]` */
  readonly codes: Uint8Array
  /** `[outputs, blocks]` */
  readonly scales: Float32Array
  /** `[outputs, blocks]` */
  readonly zeros: ArrayLike<number>
}

/** What a MatMulNBits multiplies with; undefined where that is not constant, or of a form that is not known here. */
export function packedProductOf(node: Node): PackedProduct | undefined {
  const [outputs, inputs, bits, block] = (['N', 'K', 'bits', 'block_size'] as const).map((name) =>
    node.number(name, name === 'bits' ? 4 : 0),
  ) as [number, number, number, number]
  const [packed, scaling, points, order] = node.inputs.slice(1, 5)
  const bytes = constantOf(packed)
  const scales = floatsOf(constantOf(scaling))
  if (!isBits(bits) || !(outputs > 0 && inputs > 0 && block > 0) || order) return undefined
  const blocks = Math.ceil(inputs / block)
  const bytesPerBlock = Math.ceil((block * bits) / 8)
  if (bytes?.dtype !== 'uint8' || bytes.size !== outputs * blocks * bytesPerBlock) return undefined
  if (scales?.length !== outputs * blocks) return undefined
  const zeros = zerosOf(points ? constantOf(points) : 'middle', { outputs, blocks, bits })
  if (!zeros) return undefined
  const codes = new Uint8Array(outputs * inputs)
  for (let row = 0; row < outputs; row++)
    for (let at = 0; at < blocks; at++) {
      const start = (row * blocks + at) * bytesPerBlock
      const used = Math.min(block, inputs - at * block)
      const own = unpackBits(bytes.bytes.subarray(start, start + bytesPerBlock), bits, used)
      codes.set(own, row * inputs + at * block)
    }
  return { outputs, inputs, block, codes, scales, zeros }
}

const isBits = (bits: number): bits is Bits => bits === 2 || bits === 4 || bits === 8

function floatsOf(tensor: Tensor | undefined): Float32Array | undefined {
  if (tensor?.dtype === 'float32') return elements(tensor, 'float32')
  if (tensor?.dtype !== 'float16') return undefined
  const wide = new Float32Array(tensor.size)
  fromHalves(elements(tensor, 'float16'), wide)
  return wide
}

/** Zero points, each row packed by itself where they are integers; the middle of the integers where there are none. */
function zerosOf(
  points: Tensor | 'middle' | undefined,
  { outputs, blocks, bits }: { outputs: number; blocks: number; bits: Bits },
): ArrayLike<number> | undefined {
  const count = outputs * blocks
  if (points === 'middle') return new Float32Array(count).fill(2 ** (bits - 1))
  if (points?.dtype !== 'uint8') {
    const floats = floatsOf(points)
    return floats?.length === count ? floats : undefined
  }
  const row = Math.ceil((blocks * bits) / 8)
  if (points.size !== outputs * row) return undefined
  const zeros = new Uint8Array(count)
  for (let at = 0; at < outputs; at++)
    zeros.set(
      unpackBits(points.bytes.subarray(at * row, (at + 1) * row), bits, blocks),
      at * blocks,
    )
  return zeros
}

/** How many of the weights are not zero. */
export function nonzeroIn({ codes, zeros, ...shape }: PackedProduct): number {
  const blockOf = blockNumbers(shape)
  return codes.reduce((count, code, at) => count + (code === zeros[blockOf(at)] ? 0 : 1), 0)
}

function blockNumbers({
  inputs,
  block,
}: Pick<PackedProduct, 'inputs' | 'block'>): (at: number) => number {
  const blocks = Math.ceil(inputs / block)
  return (at) => Math.floor(at / inputs) * blocks + Math.floor((at % inputs) / block)
}

/** The weights as floats, `[inputs, outputs]`, as MatMul has them. */
function floatWeights({ codes, scales, zeros, ...shape }: PackedProduct): Tensor {
  const { inputs, outputs } = shape
  const blockOf = blockNumbers(shape)
  const values = new Float32Array(codes.length)
  for (let at = 0; at < codes.length; at++) {
    const own = blockOf(at)
    values[(at % inputs) * outputs + Math.floor(at / inputs)] =
      (codes[at]! - zeros[own]!) * scales[own]!
  }
  return tensorOf('float32', [inputs, outputs], values)
}

/** Writes MatMulNBits of a graph as MatMul with the weights as floats, in place; those of unknown forms stay. */
export function writeOutPackedProducts(graph: Graph): void {
  for (const node of graph.nodes) {
    if (node.opType !== 'MatMulNBits' || node.domain !== 'com.microsoft') continue
    const [x, , , , , bias] = node.inputs
    const [y] = node.outputs
    const product = packedProductOf(node)
    if (!x || !y || !product) continue
    const g = build(graph, node)
    const plain = g.MatMul(x, g.constant(floatWeights(product)))
    const result = bias ? g.Add(plain, bias) : plain
    graph.remove(node)
    node.setOutput(0, undefined)
    result.producer!.setOutput(0, y)
  }
}
