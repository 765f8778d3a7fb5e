// Reference evaluators of losses that are operators.
import { at, type Evaluator, fill, nd, positions, required } from './nd.ts'

/** Losses that are operators: log softmax or what is given, at the right classes. */
const likelihood =
  (isLogged: boolean): Evaluator =>
  ([scores, targets, weights], attributes) => {
    const [x, labels] = [required(scores), required(targets)]
    const logs = isLogged
      ? x
      : fill(x.dims, (position) => {
          const line = Array.from({ length: x.dims[1]! }, (_, c) => at(x, position.with(1, c)))
          const total = line.reduce((sum, value) => sum + Math.exp(value), 0)
          return at(x, position) - Math.log(total)
        })
    const ignored = attributes.ignore_index
    const weightAt = (position: readonly number[]) => {
      const label = at(labels, position)
      return label === ignored ? 0 : (weights?.data[label] ?? 1)
    }
    const losses = fill(labels.dims, (position) => {
      const weight = weightAt(position)
      return weight && -weight * at(logs, position.toSpliced(1, 0, at(labels, position)))
    })
    const more = isLogged ? [] : [logs]
    const reduction = attributes.reduction ?? 'mean'
    if (reduction === 'none') return { ...losses, more }
    const sum = losses.data.reduce((a, b) => a + b, 0)
    const weight = positions(labels.dims).reduce((a, position) => a + weightAt(position), 0)
    return { ...nd([], [reduction === 'sum' ? sum : sum / weight]), more }
  }

/** Evaluators of losses by operator. */
export const lossOperators: Readonly<Record<string, Evaluator>> = {
  NegativeLogLikelihoodLoss: likelihood(true),
  SoftmaxCrossEntropyLoss: likelihood(false),
}
