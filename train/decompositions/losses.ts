// Losses that a model may hold itself.
import type { Builder } from '../../onnx/build.ts'
import type { Node, Value } from '../../onnx/graph.ts'
import type { Decomposition } from '../decompose.ts'
import { shapeOf } from '../rule.ts'

/** NegativeLogLikelihoodLoss: -w·log p at the right class, as a sum, as a mean by weight or for every sample. */
export const negativeLogLikelihoodLoss: Decomposition = ({ g, node, x }) => [
  likelihoodLoss(g, node, x),
]

/** SoftmaxCrossEntropyLoss: the same of log softmax(x), which is its second output. */
export const softmaxCrossEntropyLoss: Decomposition = ({ g, node, x }) => {
  const logProbabilities = g.LogSoftmax(x, { axis: 1 })
  return [likelihoodLoss(g, node, logProbabilities), logProbabilities]
}

function likelihoodLoss(g: Builder, node: Node, logProbabilities: Value): Value {
  const [targets, weights] = [node.input(1), node.inputs[2]]
  const shape = shapeOf(targets)
  const ignored = node.number('ignore_index')
  const reduction = node.string('reduction', 'mean')
  // A class that is ignored may be none of the classes: class 0 is read in its place, with weight 0.
  const kept =
    ignored === undefined
      ? undefined
      : g.Sub(1, g.Cast(g.Equal(g.Cast(targets, { to: 7 }), [ignored]), { to: 1 }))
  const classes = kept ? g.Mul(g.Cast(targets, { to: 7 }), g.Cast(kept, { to: 7 })) : targets
  const found = g.GatherElements(logProbabilities, g.Unsqueeze(classes, [1]), { axis: 1 })
  const losses = g.Neg(g.Reshape(found, shape))
  const classWeights = weights && g.Gather(weights, classes, { axis: 0 })
  const weight = classWeights && kept ? g.Mul(classWeights, kept) : (classWeights ?? kept)
  const weighted = weight ? g.Mul(losses, weight) : losses
  if (reduction === 'none') return weighted
  if (reduction === 'sum') return g.ReduceSum(weighted, { keepdims: 0 })
  if (!weight) return g.ReduceMean(weighted, { keepdims: 0 })
  return g.Div(g.ReduceSum(weighted, { keepdims: 0 }), g.ReduceSum(weight, { keepdims: 0 }))
}
