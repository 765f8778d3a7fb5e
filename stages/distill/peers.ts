// Mutual learning: a student and its peers as one model that is trained, and the student alone again.
import { UserError } from '../../base/errors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { sideBySide } from '../../onnx/passes/merge.ts'
import { type Trainable, takeWeights } from '../trainable.ts'

/**
 * The student and its peers side by side; of what was trained, the student alone is given back.
 *
 * The student's outputs come first. A student with several outputs is a {@link UserError}.
 */
export function withPeers(student: Model, peers: readonly Model[]): Trainable {
  for (const [index, { graph }] of [student, ...peers].entries())
    if (graph.outputs.length !== 1)
      throw new UserError(
        `peers: learning from each other needs models of one output: ${index === 0 ? 'the student' : `peer ${index}`} has ${graph.outputs.length} — leave peers out`,
      )
  return {
    model: sideBySide(student, peers, 'student'),
    samples: (data) => data,
    restore(trained) {
      const copy = cloneModel(student)
      liftConstants(copy)
      takeWeights(copy, trained)
      return copy
    },
  }
}
