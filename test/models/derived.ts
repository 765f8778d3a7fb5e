// Running students that are made from their teacher next to it.
import { type Random, random } from '../../base/random.ts'
import type { Model } from '../../onnx/graph.ts'
import { elements, sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'

/** Random content for every input; free dimensions are as told, the batch is 2. */
export function feedsFor(
  model: Model,
  sizes: Readonly<Record<string, number>> = {},
): Record<string, Tensor> {
  return Object.fromEntries(
    model.graph.feeds.map(({ name, type }) => {
      const source: Random = random(3, name)
      const dims = type!.shape!.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim!] ?? 2)))
      const draw = () => (type!.dtype === 'int64' ? source.integer(2) : source.normal())
      const dtype = type!.dtype === 'int64' ? 'int64' : 'float32'
      return [name, tensorOf(dtype, dims, Array.from({ length: sizeOf(dims) }, draw))]
    }),
  )
}

/** All outputs by name. */
export const outputsOf = (
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> =>
  withSession(model, { optimization: 'disabled' }, (session) => session.run(feeds))

/** The largest difference between the outputs of two models, relative to the largest output. */
export async function difference(
  one: Model,
  other: Model,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<number> {
  const [expected, got] = [await outputsOf(one, feeds), await outputsOf(other, feeds)]
  let worst = 0
  for (const [name, tensor] of Object.entries(expected)) {
    const wanted = elements(tensor, 'float32')
    const found = elements(got[name]!, 'float32')
    if (found.length !== wanted.length) return Number.POSITIVE_INFINITY
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6)
    for (const [index, value] of found.entries())
      worst = Math.max(worst, Math.abs(value - wanted[index]!) / largest)
  }
  return worst
}

/** Names, types and dimensions of inputs and outputs. */
export const interfaceOf = ({ graph }: Model) =>
  [...graph.feeds, ...graph.outputs].map(({ name, type }) => [name, type?.dtype, type?.shape])
