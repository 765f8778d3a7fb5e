// The operators of the TensorFlow.js engine, one node at a time: what it computes and what it differentiates against
// our own gradient graph on ONNX Runtime. One case an operator here, all of them in the slow tests.
import { beforeAll, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { newModel } from '../../onnx/build.ts'
import { interpret } from '../../train/engines/tfjs/interpret.ts'
import { loadTensorFlow, type Tf } from '../../train/engines/tfjs/tensorflow.ts'
import { relativeError } from '../support/reference.ts'
import { caseRows } from './case-graph.ts'
import { backends } from './cross-engine.ts'
import { isRefused, slopesOf, theirSlopes } from './tfjs-cases.ts'

const covered = caseRows.filter((row) => !isRefused(row))
const first = covered.filter(
  (row, index) => index === covered.findIndex(({ operator }) => operator === row.operator),
)

describe.each(backends)('on %s an operator', (backend) => {
  let tf: Tf
  beforeAll(async () => {
    tf = (await loadTensorFlow(backend)).tf
  })

  it.each(first)('agrees with our gradient of $title', async (row) => {
    const before = tf.memory().numTensors
    const { ours, theirs } = await slopesOf(tf, row)
    expect(tf.memory().numTensors).toBe(before)
    expect(theirs.loss).toBeCloseTo(ours.loss, 3)
    for (const [name, gradient] of Object.entries(ours.gradients))
      expect(relativeError(theirs.gradients[name]!, gradient)).toBeLessThan(1e-4)
  })

  it.each(caseRows.filter(isRefused))('is refused in one line as $title', async (row) => {
    const failure = theirSlopes(tf, row)
    await expect(failure).rejects.toBeInstanceOf(UserError)
    await expect(failure).rejects.toThrow(/engine 'tfjs' does not have .* — use engine 'onnx'$/)
  })

  it('is named where it is missing', () => {
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
