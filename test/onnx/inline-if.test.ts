// Ifs with constant conditions: what is left of them, what things are called then, and that outputs stay.
import { describe, expect, it } from '@jest/globals'
import { type Builder, build, newModel } from '../../onnx/build.ts'
import { cloneModel } from '../../onnx/clone.ts'
import { allNodes, Graph, type Model, type Value, type ValueType } from '../../onnx/graph.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { inlineConditionals } from '../../onnx/passes/inline-if.ts'
import { serializeModel } from '../../onnx/save.ts'
import { type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { withSession } from '../../runtime/session.ts'
import { fixDims, inferShapes } from '../../runtime/shapes.ts'
import { expectSame, freeDims, outputsOf, sampleFeeds } from '../support/compare.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

type Branch = (g: Builder) => Value | readonly Value[]

const bool = (value: boolean) => tensorOf('bool', [], [Number(value)])
const float: ValueType = { dtype: 'float32', shape: [2, 3] }

/** An If with its branches; every output is a [2, 3]. */
function choose(g: Builder, condition: Value | Tensor, yes: Branch, no: Branch): Value[] {
  const [thenBranch, elseBranch] = [yes, no].map((write) => {
    const graph = new Graph('branch', g.graph)
    for (const output of [write(build(graph))].flat()) {
      output.type ??= float
      graph.outputs.push(output)
    }
    return graph
  })
  const attributes = { then_branch: thenBranch!, else_branch: elseBranch! }
  const outputs = thenBranch!.outputs.length
  return g.node('If', [g.constant(condition)], { attributes, outputs })
}

function modelOf(write: (g: Builder, x: Value) => readonly Value[]): Model {
  const { model, g } = newModel('small')
  const made = write(g, g.input('x', float))
  for (const [index, value] of made.entries()) g.output(`y${index}`, value)
  return model
}

const opTypes = (model: Model): string =>
  [...allNodes(model.graph)].map((node) => node.opType).join(' ')

/** Inlines in a copy, expects the same outputs from its file, and prints the operators that are left. */
async function opsAfter(model: Model): Promise<string> {
  const copy = cloneModel(model)
  expect([inlineConditionals(copy), inlineConditionals(copy)]).toEqual([true, false])
  expect(copy.graph.outputs.map(({ name }) => name)).toEqual(
    model.graph.outputs.map(({ name }) => name),
  )
  const saved = parseModel(serializeModel(copy))
  expectSame(await outputsOf(saved, 'small'), await outputsOf(model, 'small'), 0)
  return opTypes(copy)
}

describe('inlineConditionals', () => {
  it.each([
    [true, 'Exp Neg Relu'],
    [false, 'Exp Abs Relu'],
  ])('takes the branch of the condition %s', async (condition, left) => {
    const model = modelOf((g, x) => {
      const outside = g.Exp(x)
      const [y] = choose(
        g,
        bool(condition),
        (inner) => inner.Neg(outside),
        (inner) => inner.Abs(outside),
      )
      return [g.Relu(y)]
    })
    expect(await opsAfter(model)).toBe(left)
  })

  it('takes branches within branches', async () => {
    const model = modelOf((g, x) =>
      choose(
        g,
        bool(true),
        (inner) => {
          const deep = (deeper: Builder) => deeper.Neg(inner.Exp(x))
          const [y] = choose(inner, bool(false), (deeper) => deeper.Abs(x), deep)
          return inner.Relu(y)
        },
        (inner) => inner.Abs(x),
      ),
    )
    expect(await opsAfter(model)).toBe('Exp Neg Relu')
  })

  it('keeps what depends on the input, with what is constant inlined in it', async () => {
    const model = modelOf((g, x) => {
      const condition = g.Less(g.ReduceSum(x, { keepdims: 0 }), 100)
      const inside: Branch = (inner) =>
        choose(
          inner,
          bool(true),
          (deeper) => deeper.Neg(x),
          (deeper) => deeper.Abs(x),
        )
      return choose(g, condition, inside, (inner) => inner.Abs(x))
    })
    expect(await opsAfter(model)).toBe('ReduceSum Less If Neg Abs')
  })

  it('hands on constants and values from outside', async () => {
    const constant = tensorOf('float32', [2, 3], [1, 2, 3, 4, 5, 6])
    const model = modelOf((g, x) => {
      const outside = g.Exp(x)
      const yes: Branch = (inner) => {
        const made = inner.Neg(x)
        return [inner.constant(constant), inner.Identity(outside), made]
      }
      const no: Branch = (inner) => [1, 2, 3].map(() => inner.Abs(x))
      return [...choose(g, bool(true), yes, no), outside]
    })
    expect(await opsAfter(model)).toBe('Exp Neg Identity Identity')
  })

  it('keeps names that are free and changes those that are taken', async () => {
    const model = modelOf((g, x) => {
      const named =
        (name: string): Branch =>
        (inner) => {
          const [weight, made] = [inner.constant(tensorOf('float32', [3], [1, 2, 3])), inner.Exp(x)]
          weight.name = name
          made.name = 'made'
          return inner.Mul(made, weight)
        }
      const other: Branch = (inner) => inner.Abs(x)
      const [first] = choose(g, bool(true), named('weight'), other)
      const [second] = choose(g, bool(true), named('other'), other)
      const [third] = choose(g, bool(false), named('weight'), named('last'))
      return [g.Add(g.Add(first, second), third)]
    })
    expect(await opsAfter(model)).toBe('Exp Mul Exp Mul Exp Mul Add Add')
    inlineConditionals(model)
    const names = [...model.graph.initializers].map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['weight', 'other', 'last']))
    const made = model.graph.nodes.map((node) => node.output().name)
    expect(new Set(made).size).toBe(made.length)
  })

  itWithShared(
    'frees a voice detector of all its conditions once its shapes are fixed',
    async () => {
      const file = 'silero-vad.onnx'
      const model = await loadModel(sharedModel(file))
      const expected = await outputsOf(model, file)
      const copy = cloneModel(model)
      const rate = copy.graph.inputs.find(({ name }) => name === 'sr')!
      copy.graph.inputs.splice(copy.graph.inputs.indexOf(rate), 1)
      rate.tensor = tensorOf('int64', [], [16000])
      copy.graph.initializers.add(rate)
      liftConstants(copy)
      const { ...dims } = freeDims[file]
      fixDims(copy, { batch: 1, dims }, file)
      // Known conditions go before ONNX Runtime sees them, whose own inlining crashes on this model.
      do {
        do await foldConstants(copy, file)
        while (inlineConditionals(copy))
        await inferShapes(copy, { where: file })
      } while ((await foldConstants(copy, file)) && inlineConditionals(copy))
      removeDeadNodes(copy.graph)
      expect([...allNodes(copy.graph)].filter(({ opType }) => opType === 'If')).toEqual([])
      const actual = await withSession(copy, {}, (session) =>
        session.run(sampleFeeds(session, file)),
      )
      expectSame(actual, expected, 1e-5)
    },
  )
})
