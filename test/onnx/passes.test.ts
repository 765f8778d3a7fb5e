// The passes on small graphs: what they change, what they leave alone, and that outputs stay.
import { describe, expect, it } from '@jest/globals'
import { type Builder, build, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, Graph, type Model, Node, Value } from '../../onnx/graph.ts'
import { parseModel } from '../../onnx/load.ts'
import { mergeCommonSubexpressions } from '../../onnx/passes/common-subexpressions.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { foldBatchNormalization } from '../../onnx/passes/fold-batch-normalization.ts'
import { freeBatch } from '../../onnx/passes/free-batch.ts'
import { removeIdentities } from '../../onnx/passes/identity.ts'
import { serializeModel } from '../../onnx/save.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { expectSame, outputsOf } from '../support/compare.ts'

/** A model of one float32 input `x` [2, 3] and whatever the function makes of it. */
function modelOf(write: (g: Builder, x: Value) => Value, opset = 21): Model {
  const { model, g } = newModel('small', opset)
  const x = g.input('x', { dtype: 'float32', shape: [2, 3] })
  g.output('y', write(g, x))
  return model
}

const opTypes = (model: Model): string[] => [...allNodes(model.graph)].map((node) => node.opType)

/** A graph for a branch of If, with one output and no inputs of its own. */
function branch(parent: Graph, write: (g: Builder) => Value): Graph {
  const graph = new Graph('branch', parent)
  const output = write(build(graph))
  output.type = { dtype: 'float32', shape: [2, 3] }
  graph.outputs.push(output)
  return graph
}

/** Runs a pass on a copy and expects the same outputs; gives what it said and the copy. */
async function apply(model: Model, pass: (model: Model) => boolean, tolerance = 0) {
  const copy = cloneModel(model)
  const changed = pass(copy)
  // What a file cannot say would be lost here.
  const saved = parseModel(serializeModel(copy))
  expectSame(await outputsOf(saved, 'small'), await outputsOf(model, 'small'), tolerance)
  return { changed, copy }
}

describe('removeDeadNodes', () => {
  it('removes chains, initializers and what only a dead branch reads', async () => {
    const model = modelOf((g, x) => {
      const condition = g.constant(tensorOf('bool', [], [1]))
      const outside = g.Exp(x)
      g.node('If', [condition], {
        attributes: {
          then_branch: branch(g.graph, (inner) => inner.Neg(outside)),
          else_branch: branch(g.graph, (inner) => inner.Abs(outside)),
        },
      })
      g.Mul(g.Sqrt(x), 3)
      return g.Add(x, 1)
    })
    const { changed, copy } = await apply(model, ({ graph }) => removeDeadNodes(graph))
    expect(changed).toBe(true)
    expect(opTypes(copy)).toEqual(['Add'])
    expect(copy.graph.initializers.size).toBe(1)
    expect(removeDeadNodes(copy.graph)).toBe(false)
  })

  it('keeps what a living branch reads, and removes what is dead inside of it', async () => {
    const model = modelOf((g, x) => {
      const outside = g.Exp(x)
      const unread = g.Log(x)
      return g.node('If', [g.constant(tensorOf('bool', [], [1]))], {
        attributes: {
          then_branch: branch(g.graph, (inner) => {
            inner.Cos = inner.Neg
            inner.Neg(unread)
            return inner.Neg(outside)
          }),
          else_branch: branch(g.graph, (inner) => inner.Abs(outside)),
        },
      })[0]!
    })
    const { copy } = await apply(model, ({ graph }) => removeDeadNodes(graph))
    expect(opTypes(copy)).toEqual(['Exp', 'If', 'Abs', 'Neg'].sort(byOrder(copy)))
  })

  it('keeps an input that nobody uses', async () => {
    const model = modelOf((g, x) => {
      g.input('spare', { dtype: 'float32', shape: [1] })
      return g.Relu(x)
    })
    const { changed, copy } = await apply(model, ({ graph }) => removeDeadNodes(graph))
    expect([changed, copy.graph.inputs.length]).toEqual([false, 2])
  })
})
