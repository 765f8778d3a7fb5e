// What losses are made of: the student's outputs, and what is fed to compare them with.
import { UserError } from '../base/errors.ts'
import type { Builder } from '../onnx/build.ts'
import type { Value } from '../onnx/graph.ts'
import { sizeOf } from '../onnx/tensor.ts'
import { binaryLogitsOf } from './prepare.ts'
import { shapeOf } from './rule.ts'

/** What a loss may look at. What is to be fed becomes an input of the graph when a loss asks for it. */
export interface LossContext {
  readonly batch: number
  /** So many consecutive samples belong together; 1 where each is by itself. */
  readonly group: number
  /** What errors call the model. */
  readonly where: string
  /** The student's outputs, in their own shapes; the first are the logits. */
  readonly outputs: readonly Value[]
  /** The logits of classes that exclude each other: `[batch, classes]`, or `[batch · positions, classes]`. */
  readonly logits: () => Value
  /** For how many positions of a sample there are logits; 1 for a sample as a whole. */
  readonly positions: () => number
  /** The first output as `[batch, width]`. */
  readonly predictions: () => Value
  /** The same before a closing Sigmoid, whose probabilities these are the logits of. */
  readonly binaryLogits: () => Value
  /** Labels as one-hot rows or mixtures of them, of the shape of the logits; zeros where a label does not count. */
  readonly targets: () => Value
  /** True where a loss of this training compares with the labels, so that they are fed. */
  readonly labelled: boolean
  /** The target values, `[batch, width]`: as wide as the first output unless told. */
  readonly values: (width?: number) => Value
  /** What the teacher says for an output, of its shape. */
  readonly teacher: (output: number) => Value
  /** The model's first float32 input, `[batch, width]`, which must be as wide as the first output. */
  readonly input: () => Value
  /** How much each class counts; undefined where all count alike. */
  readonly classWeights?: readonly number[] | undefined
}

/** What a training feeds besides the model's own inputs, by the name of the graph input. */
export interface LossInputs {
  readonly targets: Value | undefined
  readonly values: Value | undefined
  /** By the number of the output that they belong to. */
  readonly teacher: ReadonlyMap<number, Value>
}

/** What losses need to know of the data. */
export interface LossFacts {
  readonly batch: number
  /** Needed by losses on classes alone; 0 where there are none. */
  readonly classes?: number | undefined
  /** How many target values a sample has, where that is known. */
  readonly targetWidth?: number | undefined
  /** So many consecutive samples of a batch belong together. */
  readonly group?: number | undefined
  readonly classWeights?: readonly number[] | undefined
  readonly labelled?: boolean
  readonly where: string
}

/** The context of a graph: adds the inputs that losses ask for, once each. */
export function lossContext(
  g: Builder,
  outputs: readonly Value[],
  facts: LossFacts,
  modelInputs: readonly Value[] = [],
): { context: LossContext; inputs: () => LossInputs } {
  const { batch, targetWidth, where } = facts
  const first = outputs[0]!
  let logits: Value | undefined
  let targets: Value | undefined
  let values: Value | undefined
  const teacher = new Map<number, Value>()
  const rows = (value: Value, count: number): Value => {
    const shape = [count, sizeOf(shapeOf(value)) / count]
    const flat = shapeOf(value).length === 2 && shapeOf(value)[0] === count
    const made = flat ? value : g.Reshape(value, shape)
    made.type ??= { dtype: 'float32', shape }
    return made
  }
  const width = () => sizeOf(shapeOf(first)) / batch
  const context: LossContext = {
    batch,
    group: facts.group ?? 1,
    where,
    outputs,
    classWeights: facts.classWeights,
    labelled: facts.labelled ?? false,
    positions: () => positionsOf(first, facts),
    logits() {
      logits ??= rows(first, batch * context.positions())
      return logits
    },
    predictions: () => rows(first, batch),
    binaryLogits: () => rows(binaryLogitsOf(first), batch),
    targets() {
      targets ??= g.input('targets', { dtype: 'float32', shape: shapeOf(context.logits()) })
      return targets
    },
    values(wanted = width()) {
      if (wanted !== (targetWidth ?? wanted))
        throw new UserError(
          `${where}: the outputs do not fit the targets: output '${first.name}' [${shapeOf(first)}] needs ${counted(wanted)} a sample, the data has ${targetWidth} — use a model with ${targetWidth} outputs, or other data`,
        )
      if (values && shapeOf(values)[1] !== wanted)
        throw new UserError(
          `${where}: two losses want targets of different widths: ${shapeOf(values)[1]} and ${wanted} — use one of them`,
        )
      values ??= g.input('values', { dtype: 'float32', shape: [batch, wanted] })
      return values
    },
    teacher(output) {
      const known = teacher.get(output)
      if (known) return known
      const type = { dtype: 'float32', shape: shapeOf(outputs[output]!) } as const
      const made = g.input(`teacher${output}`, type)
      teacher.set(output, made)
      return made
    },
    input() {
      const input = modelInputs.find(({ type }) => type?.dtype === 'float32')
      if (!input || sizeOf(shapeOf(input)) !== batch * width())
        throw new UserError(
          `${where}: the output is not of the size of the input: '${first.name}' [${shapeOf(first)}], ${input ? `'${input.name}' [${shapeOf(input)}]` : 'no float32 input'} — a reconstruction needs an autoencoder`,
        )
      return rows(input, batch)
    },
  }
  return { context, inputs: () => ({ targets, values, teacher }) }
}

/**
 * How many rows of logits a sample has: one a position where the output is `[batch, …, classes]` with several of them.
 */
function positionsOf(output: Value, { batch, classes = 0, where }: LossFacts): number {
  const shape = shapeOf(output)
  const width = sizeOf(shape) / batch
  const last = shape.at(-1)!
  if (classes === 0) return shape.length === 3 && last > 1 ? shape[1]! : 1
  if (width === classes) return 1
  if (shape.length > 2 && last === classes) return width / classes
  throw new UserError(
    `${where}: the outputs do not fit the labels: output '${output.name}' [${shape.join(',')}] for ${classes} classes — use a model with ${classes} outputs, or other data`,
  )
}

const counted = (width: number): string => `${width} value${width === 1 ? '' : 's'}`
