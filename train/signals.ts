// Which values of three axes are signals [N, C, L], channels first as convolutions along time make them, and which are
// sequences [N, L, D]: shapes do not tell.
import type { Builder } from '../onnx/build.ts'
import type { Dim, Value } from '../onnx/graph.ts'
import { settled } from './connectors/connector.ts'
import { shapeOf } from './rule.ts'

/** Operators whose output has its channels first. */
const channelsFirst: ReadonlySet<string> = new Set([
  'AveragePool',
  'BatchNormalization',
  'Conv',
  'ConvTranspose',
  'GroupNormalization',
  'InstanceNormalization',
  'LpPool',
  'MaxPool',
])

type Shape = readonly Dim[] | undefined

/** True for a signal `[N, C, L]`: what such an operator made, or what was made of one and kept its positions. */
export function isSignal(
  value: Value,
  shape: (value: Value) => Shape = ({ type }) => type?.shape,
): boolean {
  const seen = new Set<Value>()
  const open = [value]
  for (let next = open.pop(); next; next = open.pop()) {
    const own = shape(next)
    if (seen.has(next) || own?.length !== 3) continue
    seen.add(next)
    const { opType = '', inputs = [] } = next.producer ?? {}
    if (channelsFirst.has(opType)) return true
    if (opType === 'Transpose') continue
    for (const input of inputs) if (input && shape(input)?.at(-1) === own.at(-1)) open.push(input)
  }
  return false
}

/** A signal as the image `[N, C, 1, L]`, which all that compares features can read. */
export function signalAsImage(g: Builder, signal: Value): Value {
  const [n, channels, length] = shapeOf(signal) as readonly [number, number, number]
  const dims = [n, channels, 1, length]
  return settled(g.Reshape(signal, dims), dims)
}
