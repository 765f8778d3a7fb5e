// Runs an ONNX graph node by node with operators of TensorFlow.js, which record what its differentiation needs.
import { UserError } from '../../../base/errors.ts'
import {
  constantOf,
  type Graph,
  type Model,
  type Node,
  operatorOf,
  type Value,
} from '../../../onnx/graph.ts'
import { numbers } from '../../../onnx/tensor.ts'
import type { Operator } from './operator.ts'
import { operators } from './operators.ts'
import type { Tf, TfTensor } from './tensorflow.ts'
import { toTf } from './values.ts'

/** A graph that is ready to run. */
export interface Interpreted {
  /**
   * Computes the outputs by name from the inputs by name.
   *
   * To be called within `tf.tidy`: what it makes on the way belongs to the caller.
   */
  run(inputs: Readonly<Record<string, TfTensor>>): Record<string, TfTensor>
  /** Frees the constants. */
  dispose(): void
}

/** A step of a run: which values it reads and writes. */
interface Step {
  readonly inputs: readonly (Value | undefined)[]
  readonly outputs: readonly (Value | undefined)[]
  readonly compute: (inputs: readonly (TfTensor | undefined)[]) => readonly (TfTensor | undefined)[]
}

/**
 * Prepares a graph of the newest opset, whose constants are initializers and whose axes, pads and shapes are constant.
 *
 * An operator that the engine does not have is a {@link UserError}, here already; a form of one that it does not have
 * is one when it is run.
 */
export function interpret({ graph }: Model, tf: Tf, where = 'model'): Interpreted {
  const steps = stepsOf(graph, tf, where)
  const used = new Set([...steps.flatMap((step) => step.inputs), ...graph.outputs])
  const constants = new Map<Value, TfTensor>()
  for (const value of used)
    if (value?.tensor && value.tensor.dtype !== 'string')
      constants.set(value, tf.keep(toTf(tf, value.tensor, `${where}: '${value.name}'`)))
  return {
    run(inputs) {
      const known = new Map<Value | undefined, TfTensor | undefined>(constants)
      for (const input of graph.feeds) known.set(input, inputs[input.name])
      for (const step of steps) {
        const results = step.compute(step.inputs.map((input) => known.get(input)))
        for (const [index, output] of step.outputs.entries())
          if (output) known.set(output, results[index])
      }
      return Object.fromEntries(
        graph.outputs.map((output) => [output.name, known.get(output)!] as const),
      )
    },
    dispose() {
      for (const constant of constants.values()) constant.dispose()
      constants.clear()
    },
  }
}

/** The names of operators in a graph that the engine does not have. */
export const missingOperators = ({ graph }: Model): string[] => [
  ...new Set(graph.nodes.map(operatorOf).filter((name) => !operators[name])),
]

function stepsOf(graph: Graph, tf: Tf, where: string): Step[] {
  const cuts = new Map(
    [...graph.feeds].flatMap((value) => {
      const cut = cutsOf(value)
      return cut ? [[value, cut] as const] : []
    }),
  )
  const cutNodes = new Set([...cuts.values()].flatMap((cut) => cut.nodes))
  const first = [...cuts].map(
    ([value, { sizes, outputs }]): Step => ({
      inputs: [value],
      outputs,
      compute: ([x]) => tf.split(x!, sizes),
    }),
  )
  const rest = graph.nodes
    .filter((node) => !cutNodes.has(node))
    .map((node): Step => {
      const operator = operatorFor(node, where)
      return {
        inputs: node.inputs,
        outputs: node.outputs,
        compute: (inputs) => listOf(operator({ tf, node, inputs, x: inputs[0]!, where })),
      }
    })
  return [...first, ...rest]
}

const listOf = (result: ReturnType<Operator>) =>
  Array.isArray(result) ? (result as readonly (TfTensor | undefined)[]) : [result as TfTensor]

function operatorFor(node: Node, where: string): Operator {
  const name = operatorOf(node)
  const operator = operators[name]
  if (!operator)
    throw new UserError(
      `${where}: engine 'tfjs' does not have operator '${name}' (node '${node.name}') — use engine 'onnx'`,
    )
  return operator
}

/** A vector that is cut into pieces: their sizes, and which value each one is. */
interface Cuts {
  readonly nodes: readonly Node[]
  readonly sizes: number[]
  readonly outputs: readonly (Value | undefined)[]
}

/**
 * The Slices of a flat input, if they are its pieces.
 *
 * One split makes them all, whose gradient is one concatenation; that of every slice would be as long as the vector.
 */
function cutsOf(value: Value): Cuts | undefined {
  const [length, ...more] = value.type?.shape ?? []
  if (typeof length !== 'number' || more.length > 0) return undefined
  const pieces = [...value.users].flatMap((node) => pieceOf(node, value) ?? [])
  if (pieces.length < 2) return undefined
  pieces.sort((a, b) => a.start - b.start)
  const sizes: number[] = []
  const outputs: (Value | undefined)[] = []
  let end = 0
  const gapUntil = (start: number) => {
    if (start === end) return
    sizes.push(start - end)
    outputs.push(undefined)
  }
  for (const piece of pieces) {
    if (piece.start < end || piece.end <= piece.start || piece.end > length) return undefined
    gapUntil(piece.start)
    sizes.push(piece.end - piece.start)
    outputs.push(piece.node.output())
    end = piece.end
  }
  gapUntil(length)
  return { nodes: pieces.map((piece) => piece.node), sizes, outputs }
}

function pieceOf(node: Node, value: Value) {
  if (node.opType !== 'Slice' || node.inputs[0] !== value) return undefined
  const [start, end, axis, step] = node.inputs.slice(1).map((input) => {
    const tensor = constantOf(input)
    return tensor ? numbers(tensor) : undefined
  })
  if (start?.length !== 1 || end?.length !== 1 || (axis?.[0] ?? 0) !== 0 || (step?.[0] ?? 1) !== 1)
    return undefined
  return { node, start: start[0]!, end: end[0]! }
}
