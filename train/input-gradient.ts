// A model that also says how its answer changes with its input: the gradient that the teacher is matched by, that
// saliency is compared by, and that small adversarial steps follow.
import { UserError } from '../base/errors.ts'
import { suggest } from '../base/suggest.ts'
import { type Builder, build } from '../onnx/build.ts'
import { withoutClosing } from '../onnx/closing.ts'
import type { Graph, Model, Value } from '../onnx/graph.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../onnx/passes/dead-nodes.ts'
import { sizeOf, type Tensor } from '../onnx/tensor.ts'
import { inferShapes } from '../runtime/shapes.ts'
import { backward } from './backward.ts'
import { positionsOf } from './loss-context.ts'
import { largest, oneHot, total } from './losses/formulas.ts'
import { standard } from './lowerings/standard.ts'
import { prepare } from './prepare.ts'
import { shapeOf } from './rule.ts'

/** Of what the gradient is taken. */
export interface InputGradientOptions {
  /**
   * For every sample (every position of a sequence): its largest logit, the logit of the label that is fed, or the
   * cross-entropy with that label.
   */
  readonly of: 'largest' | 'label' | 'cross-entropy'
  /** Samples a run; the rules need a fixed batch. */
  readonly batch: number
  /** By which input: the first float32 one unless named. */
  readonly input?: string | undefined
  /** How many classes the labels have, where that is known; it tells sequences of answers from single ones. */
  readonly classes?: number | undefined
  /** Numbers for free dimensions by name (see `fixDims`). */
  readonly dims?: Readonly<Record<string, number>> | undefined
  /** Inputs that always have the same content, by name: they are no inputs any more. */
  readonly constants?: Readonly<Record<string, Tensor>> | undefined
  readonly where?: string | undefined
}

/**
 * Gives a copy of a model with one more output, the last one: the gradient of a number for each sample by its input,
 * of the input's shape. The other outputs stay what they are; logits are those before a closing Softmax.
 *
 * Where labels are needed, one more input, the last one, takes them: int64 `[batch]`, or `[batch, positions]`; a label
 * that is no class (-1) counts nothing. Normalizations and Dropout are those of inference, so that samples do not touch
 * each other. A model without such an input, or with an operator on the way that has no gradient, is a
 * {@link UserError}.
 */
export async function withInputGradient(
  model: Model,
  { of, batch, input, classes, dims, constants, where = 'model' }: InputGradientOptions,
): Promise<Model> {
  const names = model.graph.outputs.map(({ name }) => name)
  const prepared = await prepare(model, { batch, dims, constants, taps: names, where })
  const { graph, inputs, taps } = prepared
  const outputs = names.map((name) => taps.get(name)!)
  const by = gradientInput(inputs, input, where)
  const g = build(graph)
  const logits = withoutClosing(graph, outputs[0]!, 'Softmax')
  const scalar = scalarOf(g, logits, of, positionsOf(logits, { batch, classes, where }), batch)
  graph.outputs.push(scalar)
  await inferShapes(prepared.model, { where })
  graph.outputs.splice(0)
  const gradient = backward(g, scalar, new Set([by]), standard, { where }).get(by)
  if (!gradient)
    throw new UserError(
      `${where}: its output '${names[0]}' has no gradient by the input '${by.name}' — name another input`,
    )
  for (const [index, value] of outputs.entries()) show(g, value, names[index]!)
  const shown = g.Identity(gradient)
  shown.name = graph.uniqueName(`${by.name}_gradient`)
  shown.type = by.type
  graph.outputs.push(shown)
  removeDeadNodes(graph)
  removeUnusedInitializers(graph)
  return prepared.model
}

/** The input that a gradient is taken by. */
function gradientInput(inputs: readonly Value[], name: string | undefined, where: string): Value {
  const floats = inputs.filter(({ type }) => type?.dtype === 'float32')
  const found = name === undefined ? floats[0] : floats.find((value) => value.name === name)
  if (found) return found
  if (name !== undefined)
    throw new UserError(
      `${where}: has no float32 input of that name: '${name}' — ${suggest(
        name,
        floats.map((value) => value.name),
      )}`,
    )
  throw new UserError(
    `${where}: has no float32 input that a gradient could be taken by: ${inputs.map((value) => `'${value.name}' is ${value.type?.dtype ?? 'no tensor'}`).join(', ')} — use a model on numbers`,
  )
}

/** The sum over all samples, whose gradient by one of them is that of its own term. */
function scalarOf(
  g: Builder,
  logits: Value,
  of: InputGradientOptions['of'],
  positions: number,
  batch: number,
): Value {
  const width = sizeOf(shapeOf(logits)) / (batch * positions)
  const rows = g.Reshape(logits, [batch * positions, width])
  if (of === 'largest') return total(g, g.Mul(rows, largest(g, rows, width)))
  const shape = positions === 1 ? [batch] : [batch, positions]
  const labels = g.input('labels', { dtype: 'int64', shape })
  const chosen = oneHot(g, g.Reshape(labels, [batch * positions, 1]), width)
  return of === 'label'
    ? total(g, g.Mul(rows, chosen))
    : g.Neg(total(g, g.Mul(g.LogSoftmax(rows, { axis: -1 }), chosen)))
}

/** Makes a value an output of a name that the model's output had. */
function show(g: Builder, value: Value, name: string): void {
  const { graph } = g
  if (value.name === name) {
    graph.outputs.push(value)
    return
  }
  // What had the name was written out in other operators, or is another output too.
  if (!isTaken(graph, name)) graph.freeName(name)
  const output = g.Identity(value)
  output.name = graph.uniqueName(name)
  output.type = value.type
  graph.outputs.push(output)
}

/** True where a value of the graph has this name. */
const isTaken = (graph: Graph, name: string): boolean =>
  [...graph.inputs, ...graph.initializers, ...graph.nodes.flatMap(({ outputs }) => outputs)].some(
    (value) => value?.name === name,
  )
