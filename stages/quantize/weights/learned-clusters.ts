// Training clusters: weights stay with those that they are equal to, and learn together what they are worth (Han, Mao and
// Dally, "Deep Compression" (2016), section 3.3). Zeros stay zero.
import { build } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model } from '../../../onnx/graph.ts'
import { removeUnusedInitializers } from '../../../onnx/passes/dead-nodes.ts'
import { elements, numbers, tensorOf } from '../../../onnx/tensor.ts'
import { type MatrixLayer, offsetOf } from '../../prune/matrix-layers.ts'
import { type RecoverOptions, recover } from '../../recover.ts'
import type { Facts, StageContext } from '../../stage.ts'
import { takeWeights } from '../../trainable.ts'
import { clustersOf } from '../aware/clusters.ts'

/**
 * Trains a model whose layers have clustered weights, in place, to answer as `unpruned` does.
 *
 * Its graph reads each weight from a table while it learns, so that a cluster's gradient is the sum of its weights'.
 */
export async function learnClusters(
  model: Model,
  layers: readonly MatrixLayer[],
  shared: 'tensor' | 'channel',
  options: RecoverOptions,
  context: StageContext,
  unpruned: Model,
): Promise<Facts> {
  const copy = cloneModel(model)
  const { graph } = copy
  const values = new Map([...graph.initializers].map((value) => [value.name, value]))
  const masks = new Map<string, Float32Array>()
  const read = layers.map((layer) => {
    const { weight } = layer
    const tableOf = shared === 'channel' ? channelsOf(layer) : undefined
    const { codebook, codes } = clustersOf(weight.tensor!, (index) => tableOf?.[index] ?? 0)
    const value = values.get(weight.name)!
    const first = graph.nodes.find((node) => value.users.has(node))
    const table = graph.addInitializer(`${weight.name}_codebook`, codebook)
    const own = build(graph, first).Gather(
      table,
      graph.addInitializer(`${weight.name}_codes`, codes),
    )
    graph.replaceUses(value, own)
    masks.set(
      table.name,
      elements(codebook, 'float32').map((centroid) => (centroid === 0 ? 0 : 1)),
    )
    return { weight, table: table.name, codes: numbers(codes) }
  })
  removeUnusedInitializers(graph)
  const { model: trained, facts } = await recover({ model: copy, facts: {} }, options, context, {
    ...{ unpruned, masks, part: 'clusters' },
  })
  takeWeights(model, trained)
  const tables = new Map([...trained.graph.initializers].map(({ name, tensor }) => [name, tensor]))
  for (const { weight, table, codes } of read) {
    const centroids = elements(tables.get(table)!, 'float32')
    const learned = Float32Array.from(codes, (code) => centroids[code]!)
    weight.tensor = tensorOf('float32', weight.tensor!.dims, learned)
  }
  return facts
}

/** The output channel of each element of a weight. */
function channelsOf({ form, weight }: MatrixLayer): Uint32Array {
  const { groups, rows, columns } = form
  const channels = new Uint32Array(weight.tensor!.size)
  for (let group = 0; group < groups; group++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        channels[offsetOf(form, group, row, column)] = group * rows + row
  return channels
}
