import { describe, expect, it } from '@jest/globals'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, type Graph, type Model } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { printGraph } from '../../onnx/text.ts'
import { modelBytes, node, vector } from './bytes.ts'

const weight = { name: 'w', dims: [2], dataType: 1, rawData: new Uint8Array(8) }
const branch = (output: string) => ({
  name: output,
  node: [node('Add', ['h', 'w'], [output])],
  output: [{ name: output }],
})
/** h = x + w, y = condition ? h + w : h + w, the branches taking both from outside. */
const bytes = modelBytes({
  name: 'main',
  input: [vector('x'), vector('condition')],
  initializer: [weight],
  node: [
    node('Add', ['x', 'w'], ['h']),
    {
      ...node('If', ['condition'], ['y']),
      attribute: [
        { name: 'then_branch', type: 5, g: branch('a') },
        { name: 'else_branch', type: 5, g: branch('b') },
      ],
    },
  ],
  output: [vector('y')],
})

/** Every object of a model that somebody may change. */
function* parts(graph: Graph): Generator<object> {
  yield graph
  yield* graph.inputs
  yield* graph.outputs
  yield* graph.initializers
  for (const each of graph.nodes) {
    yield each
    yield* each.outputs.filter((output) => output !== undefined)
    for (const subgraph of each.subgraphs) yield* parts(subgraph)
  }
}

function edit(model: Model): void {
  const { graph } = model
  for (const each of allNodes(graph)) {
    each.opType = 'Mul'
    each.setInput(1, graph.addInitializer('new', tensorOf('float32', [1], [2])))
  }
  graph.inputs[0]!.name = 'renamed'
  graph.inputs[0]!.type = { dtype: 'float16' }
  graph.outputs.pop()
  model.opsets.set('', 7)
  model.metadata.set('key', 'value')
}

describe('a copy of a model', () => {
  it('is the same to every reader', () => {
    const model = parseModel(bytes)
    const copy = cloneModel(model)
    expect(printGraph(copy.graph)).toBe(printGraph(model.graph))
    expect(serializeModel(copy)).toEqual(serializeModel(model))
  })

  it('shares nothing that can be changed', () => {
    const model = parseModel(bytes)
    const originals = new Set(parts(model.graph))
    expect([...parts(cloneModel(model).graph)].filter((part) => originals.has(part))).toEqual([])
  })

  it('can be edited, and the model does not notice', () => {
    const model = parseModel(bytes)
    const before = serializeModel(model)
    edit(cloneModel(model))
    expect(serializeModel(model)).toEqual(before)
  })

  it('is not changed by edits of the model', () => {
    const model = parseModel(bytes)
    const copy = cloneModel(model)
    const before = serializeModel(copy)
    edit(model)
    expect(serializeModel(copy)).toEqual(before)
  })

  it('shares the tensors', () => {
    const model = parseModel(bytes)
    const [original] = model.graph.initializers
    const [copied] = cloneModel(model).graph.initializers
    expect(copied!.tensor).toBe(original!.tensor)
  })

  it('knows which names are taken, and its branches know the values around them', () => {
    const { graph } = cloneModel(parseModel(bytes))
    expect(['x', 'h', 'a'].map((name) => graph.uniqueName(name))).toEqual(['x_1', 'h_1', 'a_1'])
    const [w] = graph.initializers
    expect([...w!.users].map(({ opType }) => opType)).toEqual(['Add', 'Add', 'Add'])
    const inner = graph.nodes[1]!.subgraphs[0]!
    expect(inner.nodes[0]!.input(0)).toBe(graph.nodes[0]!.output())
    expect(inner.uniqueName('h')).toBe('h_2')
  })
})
