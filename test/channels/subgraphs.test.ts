import { describe, expect, it } from '@jest/globals'
import { channelGroups } from '../../channels/groups.ts'
import { prepareChannels, restoreInterface } from '../../channels/prepare.ts'
import { type Builder, build, type Operand } from '../../onnx/build.ts'
import { allNodes, Graph, type Value } from '../../onnx/graph.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { expectRow, kept, modelOf, noise, type Row } from './small.ts'

const conv = (g: Builder, x: Operand, from: number, to: number): Value =>
  g.Conv(x, noise([to, from, 3, 3]), noise([to]), { pads: [1, 1, 1, 1] })

const head = (g: Builder, x: Operand, size: number): Value =>
  g.Gemm(g.Flatten(g.GlobalAveragePool(x)), noise([size, 5]), noise([5]))

let count = 0
type Body = (inner: Builder) => Value

/** A subgraph around which lies the graph of `g`. */
function subgraph(g: Builder, name: string, body: Body): Graph {
  const inner = build(new Graph(name, g.graph))
  inner.output(`${name}_${++count}`, body(inner), { dtype: 'float32' })
  return inner.graph
}

/** If the mean of x (or of -x) is above zero; which it is depends on the seed. */
function conditional(g: Builder, x: Value, then: Body, otherwise: Body, turned = false): Value {
  const mean = g.ReduceMean(turned ? g.Neg(x) : x, { keepdims: 0 })
  const attributes = {
    then_branch: subgraph(g, 'then', then),
    else_branch: subgraph(g, 'else', otherwise),
  }
  return g.node('If', [g.Greater(mean, 0)], { attributes })[0]!
}

const branches = (turned: boolean) =>
  modelOf((g, x) => {
    const a = conv(g, x, 3, 6)
    const y = conditional(
      g,
      x,
      (inner) => conv(inner, inner.Relu(conv(inner, a, 6, 4)), 4, 6),
      (inner) => inner.Mul(a, noise([6, 1, 1])),
      turned,
    )
    return head(g, g.Add(a, y), 6)
  })

const nested = modelOf((g, x) => {
  const a = conv(g, x, 3, 6)
  const y = conditional(
    g,
    x,
    (inner) =>
      conditional(
        inner,
        x,
        (deep) => conv(deep, a, 6, 7),
        (deep) => deep.Neg(conv(deep, a, 6, 7)),
      ),
    (inner) => conv(inner, a, 6, 7),
  )
  return head(g, y, 7)
})

const looping = modelOf(
  (g, x) => {
    const a = conv(g, x, 3, 6)
    const inner = build(new Graph('body', g.graph))
    inner.input('i', { dtype: 'int64', shape: [] })
    const go = inner.input('go', { dtype: 'bool', shape: [] })
    const state = inner.input('state', { dtype: 'float32', shape: [1, 6, 8, 8] })
    inner.output('go_on', inner.Identity(go), { dtype: 'bool' })
    inner.output('next', inner.Add(state, a), { dtype: 'float32' })
    const inputs = [tensorOf('int64', [], [2]), tensorOf('bool', [], [1]), conv(g, x, 3, 6)]
    const [y] = g.node('Loop', inputs, { attributes: { body: inner.graph } })
    return head(g, y!, 6)
  },
  [3, 8, 8],
)

const rows: Readonly<Record<string, Row>> = {
  'values that a branch takes and gives': [branches(false), [6, 4, kept]],
  'the other branch': [branches(true), [6, 4, kept]],
  'conditions within conditions': [nested, [6, 7, kept]],
  'branches of different sizes': [
    modelOf((g, x) => {
      const y = conditional(
        g,
        x,
        (inner) => inner.ReduceMean(conv(inner, x, 3, 6), [1], { keepdims: 0 }),
        (inner) => inner.ReduceMean(conv(inner, x, 3, 4), [1, 2], { keepdims: 0 }),
      )
      return g.ReduceMean(y, [1], { keepdims: 0 })
    }),
    [6, 4],
  ],
  'a loop': [looping, ["Add 'Add' is in Loop 'Loop'", "Loop 'Loop' repeats a subgraph", kept]],
}

describe('subgraphs', () => {
  it.each(Object.entries(rows))('follow %s', (_, row) => expectRow(row))

  it('are handed back without the shapes of a batch of one', async () => {
    const model = branches(false)
    const prepared = await prepareChannels(model)
    expect(channelGroups(prepared).map(({ channels }) => channels)).toEqual([6, 4, 5])
    restoreInterface(prepared, model)
    for (const node of allNodes(prepared.graph))
      for (const output of node.outputs)
        if (!prepared.graph.outputs.includes(output!)) expect(output?.type?.shape).toBeUndefined()
    await withSession(prepared, {}, async (session) => {
      const { y } = await session.run({ x: noise([3, 3, 8, 8]) })
      expect(y!.dims).toEqual([3, 5])
    })
  })
})
