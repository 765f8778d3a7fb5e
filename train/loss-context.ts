// What losses are made of: the student's outputs, and what is fed to compare them with.
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { shapeOf } from './rule.ts'

/** What a loss may look at. What is to be fed becomes an input of the graph when a loss asks for it. */
export interface LossContext {
  readonly batch: number
  /** The student's outputs, in their own shapes; the first are the logits. */
  readonly outputs: readonly Value[]
  /** The logits as `[batch, classes]`. */
  readonly logits: () => Value
  /** Labels as one-hot rows or mixtures of them, `[batch, classes]`. */
  readonly targets: () => Value
  /** What the teacher says for an output, of its shape. */
  readonly teacher: (output: number) => Value
  /** How much each class counts; undefined where all count alike. */
  readonly classWeights?: readonly number[] | undefined
}

/** What a training feeds besides the model's own inputs, by the name of the graph input. */
export interface LossInputs {
  readonly targets: Value | undefined
  /** By the number of the output that they belong to. */
  readonly teacher: ReadonlyMap<number, Value>
}

/** The context of a graph: adds the inputs that losses ask for, once each. */
export function lossContext(
  g: Builder,
  outputs: readonly Value[],
  {
    batch,
    classes,
    classWeights,
    where,
  }: {
    readonly batch: number
    /** Needed by losses on classes alone. */
    readonly classes?: number | undefined
    readonly classWeights?: readonly number[] | undefined
    readonly where: string
  },
): { context: LossContext; inputs: () => LossInputs } {
  let logits: Value | undefined
  let targets: Value | undefined
  const teacher = new Map<number, Value>()
  const context: LossContext = {
    batch,
    outputs,
    classWeights,
    logits() {
      const first = outputs[0]!
      if (logits) return logits
      const width = sizeOf(shapeOf(first)) / batch
      if (classes !== undefined && width !== classes)
        throw new UserError(
          `${where}: the outputs do not fit the labels: output '${first.name}' [${shapeOf(first).join(',')}] for ${classes} classes — use a model with ${classes} outputs, or other data`,
        )
      logits = shapeOf(first).length === 2 ? first : g.Reshape(first, [batch, width])
      logits.type ??= { dtype: 'float32', shape: [batch, width] }
      return logits
    },
    targets() {
      targets ??= g.input('targets', { dtype: 'float32', shape: shapeOf(context.logits()) })
      return targets
    },
    teacher(output) {
      const known = teacher.get(output)
      if (known) return known
      const type = { dtype: 'float32', shape: shapeOf(outputs[output]!) } as const
      const made = g.input(`teacher${output}`, type)
      teacher.set(output, made)
      return made
    },
  }
  return { context, inputs: () => ({ targets, teacher }) }
}
