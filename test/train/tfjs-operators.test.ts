// The operators of the TensorFlow.js engine, one node at a time: what it computes and what it differentiates against
// our own gradient graph on ONNX Runtime.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, type Tensor } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { backward } from '../../train/backward.ts'
import { interpret, missingOperators } from '../../train/engines/tfjs/interpret.ts'
import { loadTensorFlow, type Tf, type TfTensor } from '../../train/engines/tfjs/tensorflow.ts'
import { toTf } from '../../train/engines/tfjs/values.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { writeOutBatchNormalization } from '../../train/training-form.ts'
import { relativeError } from '../support/reference.ts'
import {
  type CaseRow,
  caseGraph,
  caseRows,
  evaluate,
  feedsOf,
  inputsOf,
  weightsOf,
} from './case-graph.ts'

/** Forms that the engine says it does not have. */
const refused = [
  /^Cast .* to=10 /,
  /^Conv \[\d+(,\d+){4}\]/,
  /^ConvTranspose \[\d+(,\d+){4}\]/,
  /^Einsum .* equation=(ii|iji)/,
  /^Resize .* (antialias|keep_aspect_ratio_policy|coordinate_transformation_mode=tf_crop_and_resize)/,
  /^Scatter.* reduction=(mul|min|max)/,
  /^(GRU|LSTM|RNN) .* (clip|input_forget|activation_alpha|activation_beta)=/,
]

const isRefused = ({ title }: CaseRow) => refused.some((form) => form.test(title))

let tf: Tf
beforeAll(async () => {
  tf = (await loadTensorFlow('cpu')).tf
})

describe('an operator of the engine', () => {
  it.each(caseRows.filter((row) => !isRefused(row)))(
    'agrees with our gradient of $title',
    async (row) => {
      const inputs = inputsOf(row)
      const weights = weightsOf(row, evaluate(row, inputs))
      const feeds = feedsOf(await caseGraph(row, weights), inputs)
      const expected = await ours(row, weights, inputs)
      const found = theirs(await graphOf(row, weights), feeds)
      expect(found.loss).toBeCloseTo(numbers(expected.loss!)[0]!, 3)
      for (const [name, gradient] of Object.entries(expected)) {
        if (name === 'loss') continue
        expect(relativeError(found.gradients[name]!, numbers(gradient))).toBeLessThan(1e-4)
      }
    },
  )

  it.each(caseRows.filter(isRefused))('is refused in one line as $title', async (row) => {
    const inputs = inputsOf(row)
    const graph = await graphOf(row, weightsOf(row, evaluate(row, inputs)))
    const run = () => theirs(graph, feedsOf(graph, inputs))
    expect(run).toThrow(UserError)
    expect(run).toThrow(/engine 'tfjs' .* — use engine 'onnx'$/)
  })

  it('is named where it is missing', async () => {
    const { model, g } = newModel('missing')
    const x = g.input('x', { dtype: 'float32', shape: [2] })
    g.output('y', g.node('Imaginary', [x], { name: 'first' })[0]!)
    expect(() => interpret(model, tf, 'file.onnx')).toThrow(
      new UserError(
        "file.onnx: engine 'tfjs' does not have operator 'Imaginary' (node 'first') — use engine 'onnx'",
      ),
    )
  })
})

/** A case as the node itself where the engine has its operator, else written out. */
async function graphOf(row: CaseRow, weights: Parameters<typeof caseGraph>[1]) {
  const whole = await caseGraph(row, weights, { whole: true })
  return missingOperators(whole.model).length === 0 ? whole : caseGraph(row, weights)
}

/** The loss and the gradients by the name of the input, from our graph. */
async function ours(
  row: CaseRow,
  weights: Parameters<typeof caseGraph>[1],
  inputs: Parameters<typeof feedsOf>[1],
): Promise<Record<string, Tensor>> {
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
      loss: results.loss!,
      ...Object.fromEntries(names.map((name) => [name, results[`${name}_gradient`]!])),
    }
  })
}

/** The same by TensorFlow.js. */
function theirs(
  { model, loss }: Awaited<ReturnType<typeof caseGraph>>,
  feeds: Record<string, Tensor>,
) {
  model.graph.outputs.splice(0, model.graph.outputs.length, loss)
  const before = tf.memory().numTensors
  const interpreted = interpret(model, tf)
  const result = tf.tidy(() => {
    const names = Object.keys(feeds)
    const { value, grads } = tf.valueAndGrads((...values) => {
      const given = names.map((name, index) => [name, values[index] as TfTensor] as const)
      return interpreted.run(Object.fromEntries(given))[loss.name]!
    })(names.map((name) => toTf(tf, feeds[name]!, name)))
    return {
      loss: value.dataSync()[0]!,
      gradients: Object.fromEntries(
        names.map((name, index) => [name, Array.from(grads[index]!.dataSync())]),
      ) as Record<string, number[]>,
    }
  })
  interpreted.dispose()
  expect(tf.memory().numTensors).toBe(before)
  return result
}
