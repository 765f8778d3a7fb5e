// Several steps as one run: a Loop around a training graph. It saves the calls where a step takes next to no time.

import { build, newModel } from '../onnx/build.ts'
import { cloneModel } from '../onnx/clone.ts'
import { type Model, Value } from '../onnx/graph.ts'
import { tensorOf } from '../onnx/tensor.ts'
import type { TrainingGraph } from './training-graph.ts'

/**
 * A model that takes `count` steps, one after the other.
 *
 * What is fed at every step has an axis of `count` in front, and so have `loss` and `terms`; the vectors are as in a
 * single step.
 */
export function repeated(graph: TrainingGraph & { readonly model: Model }, count: number): Model {
  const { model, g } = newModel('several steps')
  for (const [domain, version] of graph.model.opsets) model.opsets.set(domain, version)
  const names = Object.keys(graph.vectors)
  const body = cloneModel(graph.model).graph
  const shown = new Set([...body.inputs, ...body.outputs].map(({ name }) => name))
  // A body may not use a name of the graph around it for something else.
  for (const name of body.names) if (!shown.has(name)) model.graph.reserveName(name)
  const iteration = new Value(body.uniqueName('iteration'), { type: { dtype: 'int64', shape: [] } })
  const goOn = new Value(body.uniqueName('go_on'), { type: { dtype: 'bool', shape: [] } })
  const front = build(body, body.nodes[0])
  const inside = build(body)

  // What is fed is taken from the outer graph by the number of the step.
  const carried = names.map((name) => body.inputs.find((input) => input.name === name)!)
  for (const input of body.inputs) {
    if (carried.includes(input)) continue
    const type = input.type!
    if (Object.hasOwn(graph.held, input.name)) {
      body.replaceUses(input, g.input(input.name, type))
      continue
    }
    const outer = g.input(input.name, { ...type, shape: [count, ...type.shape!] })
    const slice = front.Gather(outer, iteration, { axis: 0 })
    slice.type = type
    body.replaceUses(input, slice)
  }
  const told = body.outputs.filter(({ name }) => name === 'loss' || name === 'terms')
  const next = names.map((name) => body.outputs.find((output) => output.name === `${name}_next`)!)
  body.inputs.splice(0, body.inputs.length, iteration, goOn, ...carried)
  const still = inside.Identity(goOn)
  still.type = goOn.type
  body.outputs.splice(0, body.outputs.length, still, ...next, ...told)

  const vectors = carried.map((input) => g.input(input.name, input.type!))
  for (const input of carried) input.name = body.uniqueName(`${input.name}_step`)
  const toldNames = told.map(({ name }) => name)
  for (const output of [...next, ...told]) output.name = body.uniqueName(`${output.name}_step`)
  const made = g.node(
    'Loop',
    [tensorOf('int64', [], [count]), tensorOf('bool', [], [1]), ...vectors],
    { attributes: { body }, outputs: names.length + told.length },
  )
  for (const [index, name] of names.entries())
    g.output(`${name}_next`, made[index]!, carried[index]!.type)
  for (const [index, name] of toldNames.entries()) {
    const shape = name === 'loss' ? [count] : [count, graph.terms]
    g.output(name, made[names.length + index]!, { dtype: 'float32', shape })
  }
  return model
}
