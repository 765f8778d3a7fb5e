// Reading back what a training with fake quantization came to: how every weight and activation is to be stored.
import { cloneModel } from '../../../onnx/clone.ts'
import type { Model } from '../../../onnx/graph.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../../../onnx/passes/dead-nodes.ts'
import { numbers, type Tensor } from '../../../onnx/tensor.ts'
import { withSession } from '../../../runtime/session.ts'
import type { Quantization, Range } from '../arithmetic.ts'
import type { LearnedQuantization, LearnedWeights } from '../constants.ts'
import { type AwareModel, type AwareStorage, levelsOf } from './insert.ts'

/** Reads how a trained model rounds: what its steps and levels came to, computed as its training did. */
export async function readLearned(
  trained: Model,
  { activations, weights, constants }: Pick<AwareModel, 'activations' | 'weights' | 'constants'>,
  { activations: dtype, activationBits }: Pick<AwareStorage, 'activations' | 'activationBits'>,
  where: string,
): Promise<LearnedQuantization> {
  const names = [
    ...[...activations.values()].flatMap(({ scale, zero }) => (zero ? [scale, zero] : [scale])),
    ...[...weights.values()].flatMap(({ scale, levels }) => [scale, levels]),
  ]
  const found = await constantsIn(trained, new Set(names), where)
  const of = (name: string): number[] => numbers(found.get(name)!)
  const [lowest, highest] = levelsOf(dtype, activationBits)
  const narrow = activationBits < (dtype.endsWith('16') ? 16 : 8)
  const stored = new Map<string, Quantization>(constants)
  const bounds = new Map<string, Range>()
  for (const [name, { scale, zero, offset }] of activations) {
    const [step] = of(scale) as [number]
    const zeroPoint = zero ? of(zero)[0]! + offset : offset
    stored.set(name, { dtype, scale: step, zeroPoint: zeroPoint + 0 })
    if (!narrow) continue
    bounds.set(name, { min: (lowest - zeroPoint) * step, max: (highest - zeroPoint) * step })
  }
  return {
    activations: stored,
    bounds,
    weights: new Map(
      [...weights].map(([name, { scale, levels }]): [string, LearnedWeights] => [
        name,
        { values: Int8Array.from(of(levels)), scales: Float32Array.from(of(scale)) },
      ]),
    ),
  }
}

/** Computes values of a model that depend on its constants alone. */
async function constantsIn(
  model: Model,
  names: ReadonlySet<string>,
  where: string,
): Promise<ReadonlyMap<string, Tensor>> {
  const copy = cloneModel(model)
  const { graph } = copy
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  graph.outputs.splice(0, graph.outputs.length, ...made.filter(({ name }) => names.has(name)))
  graph.inputs.splice(0)
  removeDeadNodes(graph)
  removeUnusedInitializers(graph)
  return await withSession(
    copy,
    { optimization: 'disabled', where },
    async (session) => new Map(Object.entries(await session.run({}))),
  )
}
