// Small ONNX files, written message by message.
import { encodeModel, type GraphProto, type ModelProto } from '../../onnx/proto.ts'

/** The file of a model with one graph; opset 21 unless told. */
export function modelBytes(
  graph: Partial<GraphProto>,
  rest: Partial<ModelProto> = { irVersion: 11, opsetImport: [{ domain: '', version: 21 }] },
): Uint8Array {
  return Buffer.concat(encodeModel({ ...rest, graph }))
}

/** A float32 vector `x` as an input or output. */
export const vector = (name: string, size = 2) => ({
  name,
  type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: size }] } }, denotation: '' },
})

/** A node without attributes. */
export const node = (opType: string, input: string[], output: string[]) => ({
  opType,
  input,
  output,
})

/** Integers as varints, negative ones as 64-bit two's complement. */
export function varints(...values: (number | bigint)[]): Uint8Array {
  const bytes: number[] = []
  for (const value of values) {
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
    bytes.push(Number(rest))
  }
  return Uint8Array.from(bytes)
}
