// A teacher as it is asked: of its outputs those that are wanted, as logits, values inside it, and its gradient.
import { UserError } from '../../base/errors.ts'
import type { Samples } from '../../base/samples.ts'
import { suggest } from '../../base/suggest.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { withoutClosing } from '../../onnx/closing.ts'
import { type Graph, type Model, Node, Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { bindInputs, constantTensor, freeDims } from '../../runtime/bind.ts'
import { withInputGradient } from '../../train/input-gradient.ts'
import type { TaughtValue } from '../../train/taps.ts'
import { inputsOf } from '../feeding.ts'

/** What is wanted of a teacher. */
export interface Asked {
  readonly outputs: 'none' | 'first' | 'all'
  /** Values inside the first teacher, as they are: not before a Softmax. */
  readonly taps: readonly TaughtValue[]
  /** The gradient of the first teacher's largest logit by its first float input. */
  readonly gradient: boolean
  /** True where outputs are each a yes or no: then logits are what went into a Sigmoid. */
  readonly binary: boolean
}

/** A teacher that gives nothing but what is wanted, and what is carried from chunk to chunk. */
export interface AskedModel {
  readonly model: Model
  /** What errors call its outputs, in order: those of the teacher, the taps, the gradient. */
  readonly names: readonly string[]
}

/** How a teacher is called and fed. */
export interface AskedOf {
  readonly name: string
  readonly model: Model
  readonly samples: Pick<Samples, 'columns' | 'inputs'>
  /** Samples a run, for the gradient. */
  readonly batch: number
  readonly classes: number
}

/** Makes a copy of a teacher that gives what is asked: outputs as logits, then taps, then the gradient. */
export async function askedModel(of: AskedOf, asked: Asked): Promise<AskedModel> {
  const copy = cloneModel(of.model)
  const { graph } = copy
  const state = new Set(
    Object.values(of.samples.inputs ?? {}).flatMap((source) =>
      'carry' in source ? [source.carry] : [],
    ),
  )
  const outputs = graph.outputs.splice(0)
  const answers = outputs.filter(({ name }) => !state.has(name))
  // The gradient is that of the first output, which is left out again afterwards.
  const wanted = asked.outputs === 'none' && asked.gradient ? 'first' : asked.outputs
  const kept = { none: [], first: answers.slice(0, 1), all: answers }[wanted]
  for (const output of kept)
    show(graph, withoutClosing(graph, output, asked.binary ? 'Sigmoid' : 'Softmax'))
  for (const { name } of asked.taps) show(graph, tapped(graph, name, of.name))
  graph.outputs.push(...outputs.filter(({ name }) => state.has(name)))
  removeDeadNodes(graph)
  const names = [...kept, ...asked.taps].map(({ name }) => `'${name}'`)
  if (!asked.gradient) return { model: copy, names }
  const model = await withGradient(copy, of)
  if (asked.outputs === 'none') {
    model.graph.outputs.shift()
    removeDeadNodes(model.graph)
  }
  return { model, names: [...(asked.outputs === 'none' ? names.slice(1) : names), 'the gradient'] }
}

/** The model with its gradient as one more output; one that carries state has none. */
async function withGradient(model: Model, { name, samples, batch, classes }: AskedOf) {
  const inputs = inputsOf(model.graph)
  const binding = bindInputs(inputs, samples, name)
  if (binding.steps > 1 || binding.carried.length > 0)
    throw new UserError(
      `${name}: is fed in chunks, and has no gradient by a whole input — use another loss`,
    )
  const rows = binding.fixedBatch ?? batch
  return await withInputGradient(model, {
    ...{ of: 'largest', batch: rows, where: name, classes },
    dims: freeDims(inputs, binding, rows),
    constants: Object.fromEntries(
      binding.constants.map((input) => [input.name, constantTensor(input, rows, name)]),
    ),
  })
}

/** Makes a value an output of its own: one that no node makes, or that is an output already, through a copy. */
function show(graph: Graph, value: Value): void {
  if (value.producer && !graph.outputs.includes(value)) {
    graph.outputs.push(value)
    return
  }
  const { type } = value
  const made = new Value(graph.uniqueName(`${value.name}_asked`), type && { type })
  graph.add(new Node('Identity', [value], [made], { name: graph.uniqueName('asked') }))
  graph.outputs.push(made)
}

/** The value of this name that the graph itself makes or is fed. */
function tapped(graph: Graph, name: string, where: string): Value {
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  const found = [...graph.inputs, ...made].find((value) => value.name === name)
  if (found) return found
  const known = made.map((value) => value.name)
  throw new UserError(`${where}: has no value of that name: '${name}' — ${suggest(name, known)}`)
}
