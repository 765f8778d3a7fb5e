// What a model takes and gives, and whether tensors fit it.
import type { InferenceSession } from 'onnxruntime-node'
import { UserError } from '../base/errors.ts'
import type { DataType, Tensor } from '../onnx/tensor.ts'
import type { ValueInfo } from './session.ts'

/** What ONNX Runtime says of an input or output, if it is a tensor. */
export function infoOf(metadata: InferenceSession.ValueMetadata): readonly ValueInfo[] {
  if (!metadata.isTensor) return []
  // Unknown dimensions read as '' in onnxruntime-node and as 2^32-1 in onnxruntime-web.
  const shape = metadata.shape.map((dim) => (dim === '' || dim === 0xffffffff ? undefined : dim))
  return [{ name: metadata.name, dtype: metadata.type as DataType, shape }]
}

/** Refuses feeds that do not fit the inputs; `names` have to be fed, tensors or not. */
export function checkFeeds(
  where: string,
  names: readonly string[],
  inputs: readonly ValueInfo[],
  feeds: Readonly<Record<string, Tensor>>,
): void {
  for (const name of names)
    if (!feeds[name]) throw new UserError(`${where}: input '${name}' is missing — feed it`)
  checkNames(where, 'input', inputs, Object.keys(feeds))
  for (const info of inputs) checkFit(where, 'input', info, feeds[info.name]!)
}

/** Refuses fetches that do not fit the outputs. */
export function checkFetches(
  where: string,
  outputs: readonly ValueInfo[],
  fetches: Readonly<Record<string, Tensor>>,
): void {
  checkNames(where, 'output', outputs, Object.keys(fetches))
  for (const info of outputs) {
    const tensor = fetches[info.name]
    if (tensor) checkFit(where, 'output', info, tensor)
  }
}

/** Refuses names that the model does not have. */
export function checkNames(
  where: string,
  kind: string,
  known: readonly ValueInfo[],
  given: readonly string[],
): void {
  for (const name of given)
    if (!known.some((info) => info.name === name))
      throw new UserError(
        `${where}: has no ${kind} tensor of that name: '${name}' — it has ${known.map((info) => `'${info.name}'`).join(', ')}`,
      )
}

function checkFit(where: string, kind: string, info: ValueInfo, tensor: Tensor): void {
  const { name, dtype, shape } = info
  if (tensor.dtype !== dtype)
    throw new UserError(
      `${where}: ${kind} '${name}' has the wrong type: ${tensor.dtype} — the model has ${dtype}`,
    )
  // ONNX Runtime says the same of a single number and of a rank that the file leaves open, and checks the former itself.
  const fits =
    shape.length === 0 ||
    (tensor.dims.length === shape.length &&
      shape.every((dim, axis) => typeof dim !== 'number' || dim === tensor.dims[axis]))
  if (!fits)
    throw new UserError(
      `${where}: ${kind} '${name}' has the wrong shape: [${tensor.dims.join(',')}] — the model has [${shape.map((dim) => dim ?? '?').join(',')}]`,
    )
}

/** Copies a result into the memory that was given for it. */
export function copyInto(where: string, name: string, target: Tensor, result: Tensor): void {
  if (target.bytes.length !== result.bytes.length)
    throw new UserError(
      `${where}: output '${name}' has the wrong shape: [${target.dims.join(',')}] — the model gave [${result.dims.join(',')}]`,
    )
  target.bytes.set(result.bytes)
}
