// What differs between a model that answers and one that learns: dropout drops, and BatchNormalization uses the
// statistics of its batch.
import type { Builder } from '../onnx/build.ts'
import { build } from '../onnx/build.ts'
import { constantOf, type Graph, Node, Value } from '../onnx/graph.ts'
import { numbers } from '../onnx/tensor.ts'
import { shapeOf } from './rule.ts'

/** A BatchNormalization in training form and where its running statistics live. */
export interface Statistics {
  readonly node: Node
  readonly runningMean: Value
  readonly runningVariance: Value
  /** Mean and (population) variance of the batch, outputs of the node. */
  readonly batchMean: Value
  readonly batchVariance: Value
  /** Share of the running value that a step keeps, 0..1. */
  readonly momentum: number
}

/** A mask that is fed at every step: 0 with probability `ratio`, else 1 / (1 - ratio). */
export interface DropoutMask {
  readonly input: Value
  readonly node: Node
  readonly ratio: number
}

/**
 * Puts BatchNormalization nodes into training form, except those of frozen layers.
 *
 * With `momentum` 0 ONNX's second and third output are the batch's own statistics.
 */
export function trainBatchNormalization(graph: Graph, frozen: ReadonlySet<Node>): Statistics[] {
  return graph.nodes.flatMap((node) => {
    if (node.opType !== 'BatchNormalization' || frozen.has(node)) return []
    const [runningMean, runningVariance] = [node.input(3), node.input(4)]
    if (!runningMean.tensor || !runningVariance.tensor) return []
    const momentum = node.number('momentum', 0.9)
    node.attributes.set('training_mode', { type: 'int', value: 1 })
    node.attributes.set('momentum', { type: 'float', value: 0 })
    const channels = runningMean.tensor.dims
    const [batchMean, batchVariance] = ['mean', 'variance'].map((name) => {
      const type = { dtype: 'float32', shape: channels } as const
      return new Value(graph.uniqueName(`${node.name}_${name}`), { type })
    }) as [Value, Value]
    node.setOutput(1, batchMean)
    node.setOutput(2, batchVariance)
    return [{ node, runningMean, runningVariance, batchMean, batchVariance, momentum }]
  })
}

/** Normalizations in training form besides those known: those of second passes, which copy the first. */
export function furtherNormalizations(graph: Graph, known: readonly Statistics[]): Statistics[] {
  const first = new Set(known.map(({ node }) => node))
  return graph.nodes.flatMap((node) => {
    if (node.opType !== 'BatchNormalization' || first.has(node)) return []
    if (node.number('training_mode', 0) === 0) return []
    const [runningMean, runningVariance] = [node.input(3), node.input(4)]
    const [batchMean, batchVariance] = [node.output(1), node.output(2)]
    return [{ node, runningMean, runningVariance, batchMean, batchVariance, momentum: 0 }]
  })
}

/**
 * Replaces the forward pass of a BatchNormalization in training form by its definition.
 *
 * ONNX Runtime's own training form writes into the memory of its running inputs, shared or not, and is slower. Gives
 * the values that hold the batch's statistics from now on.
 */
export function writeOutBatchNormalization(graph: Graph, statistics: Statistics): Statistics {
  const { node, batchMean, batchVariance } = statistics
  const g = build(graph, node)
  const [x, y] = [node.input(0), node.output()]
  const shape = shapeOf(x)
  const axes = shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))
  const column = [shape[1]!, ...shape.slice(2).map(() => 1)]
  const mean = g.ReduceMean(x, axes, { keepdims: 0 })
  const centred = g.Sub(x, g.Reshape(mean, column))
  const variance = g.ReduceMean(g.Mul(centred, centred), axes, { keepdims: 0 })
  const epsilon = node.number('epsilon', 1e-5)
  const normal = g.BatchNormalization(x, node.inputs[1], node.inputs[2], mean, variance, {
    epsilon,
  })
  normal.type = y.type
  graph.replaceUses(y, normal)
  graph.replaceUses(batchMean, mean)
  graph.replaceUses(batchVariance, variance)
  graph.remove(node)
  return { ...statistics, batchMean: mean, batchVariance: variance }
}

/**
 * Turns every Dropout into a product with a mask that is fed, so that what is dropped depends on the seed and the
 * step alone, on every provider and after every resumption. What it makes stays the same value.
 */
export function feedDropout(g: Builder, graph: Graph): DropoutMask[] {
  return graph.nodes.flatMap((node) => {
    if (node.opType !== 'Dropout') return []
    const given = node.inputs[1]
    const ratio = given ? (numbers(constantOf(given)!)[0] ?? 0.5) : 0.5
    const [x, y] = [node.input(0), node.output()]
    const instead = (opType: string, ...inputs: Value[]): Node => {
      const made = new Node(opType, inputs, [y], { name: node.name })
      graph.add(made, node)
      graph.remove(node)
      return made
    }
    if (ratio === 0) {
      instead('Identity', x)
      return []
    }
    const input = g.input(`${node.name}_mask`, { dtype: 'float32', shape: shapeOf(x) })
    return [{ input, node: instead('Mul', x, input), ratio }]
  })
}
