// One node at a time on the TensorFlow.js engine: the loss and the gradients of a case by both engines.
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { backward } from '../../train/backward.ts'
import { interpret, missingOperators } from '../../train/engines/tfjs/interpret.ts'
import type { Tf, TfTensor } from '../../train/engines/tfjs/tensorflow.ts'
import { toTf } from '../../train/engines/tfjs/values.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { writeOutBatchNormalization } from '../../train/training-form.ts'
import { type CaseRow, caseGraph, evaluate, feedsOf, inputsOf, weightsOf } from './case-graph.ts'

/** Forms that the engine says it does not have. */
const refused = [
  /^Cast .* to=10 /,
  /^Conv(Transpose)? \[\d+(,\d+){4}\]/,
  /^Einsum .* equation=(ii|iji)/,
  /^Resize .* (antialias|keep_aspect_ratio_policy|coordinate_transformation_mode=tf_crop_and_resize)/,
  /^Scatter.* reduction=(mul|min|max)/,
  /^(GRU|LSTM|RNN) .* (clip|input_forget|activation_alpha|activation_beta)=/,
  /^(MaxUnpool|ReverseSequence) /,
]

/** True for a case that the engine does not have. */
export const isRefused = ({ title }: CaseRow): boolean => refused.some((form) => form.test(title))

/** The loss and, by the name of the input, its gradients. */
export interface Slopes {
  readonly loss: number
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>
}

/** What both engines make of a case. */
export async function slopesOf(tf: Tf, row: CaseRow): Promise<{ ours: Slopes; theirs: Slopes }> {
  const inputs = inputsOf(row)
  const weights = weightsOf(row, evaluate(row, inputs))
  return { ours: await ourSlopes(row, weights, inputs), theirs: await theirSlopes(tf, row) }
}

/** What TensorFlow.js makes of a case. */
export async function theirSlopes(tf: Tf, row: CaseRow): Promise<Slopes> {
  const inputs = inputsOf(row)
  const graph = await graphOf(row, weightsOf(row, evaluate(row, inputs)))
  return differentiated(tf, graph, feedsOf(graph, inputs))
}

/** A case as the node itself where the engine has its operator, else written out. */
async function graphOf(row: CaseRow, weights: Parameters<typeof caseGraph>[1]) {
  const whole = await caseGraph(row, weights, { whole: true })
  return missingOperators(whole.model).length === 0 ? whole : caseGraph(row, weights)
}

/** The loss and the gradients by the name of the input, from our graph. */
async function ourSlopes(
  row: CaseRow,
  weights: Parameters<typeof caseGraph>[1],
  inputs: Parameters<typeof feedsOf>[1],
): Promise<Slopes> {
  const graph = await caseGraph(row, weights)
  const { model, g, wanted, loss } = graph
  const found = backward(g, loss, new Set(wanted.keys()), standard)
  for (const each of graph.statistics) writeOutBatchNormalization(g.graph, each)
  g.graph.outputs.splice(0)
  g.output('loss', loss)
  const names = [...found].map(([value, gradient]) => {
    g.output(`${value.name}_gradient`, gradient)
    return value.name
  })
  removeDeadNodes(g.graph)
  return withSession(model, {}, async (session) => {
    const results = await session.run(feedsOf(graph, inputs))
    return {
      loss: numbers(results.loss!)[0]!,
      gradients: Object.fromEntries(
        names.map((name) => [name, numbers(results[`${name}_gradient`]!)]),
      ),
    }
  })
}

/** The same by TensorFlow.js, which is left with as many tensors as before. */
function differentiated(
  tf: Tf,
  { model, loss }: Awaited<ReturnType<typeof caseGraph>>,
  feeds: Record<string, Tensor>,
): Slopes {
  model.graph.outputs.splice(0, model.graph.outputs.length, loss)
  const interpreted = interpret(model, tf)
  try {
    return tf.tidy(() => {
      const names = Object.keys(feeds)
      const { value, grads } = tf.valueAndGrads((...values) => {
        const given = names.map((name, index) => [name, values[index] as TfTensor] as const)
        return interpreted.run(Object.fromEntries(given))[loss.name]!
      })(names.map((name) => toTf(tf, feeds[name]!, name)))
      return {
        loss: value.dataSync()[0]!,
        gradients: Object.fromEntries(
          names.map((name, index) => [name, Float32Array.from(grads[index]!.dataSync())]),
        ),
      }
    })
  } finally {
    interpreted.dispose()
  }
}
