import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import { build, newModel } from '../../onnx/build.ts'
import { type Model, Value } from '../../onnx/graph.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import {
  feedDropout,
  trainBatchNormalization,
  writeOutBatchNormalization,
} from '../../train/training-form.ts'
import { nd } from '../support/reference/nd.ts'
import { reference, relativeError } from '../support/reference.ts'

const dims = [4, 3, 2, 5]
const source = random(1, 'training form')
const data = Float32Array.from({ length: 120 }, () => 3 + source.normal())
const three = (...values: number[]) => tensorOf('float32', [3], values)

/** BatchNormalization, and its statistics as outputs; `mean` starts as 0, `variance` as 1. */
async function normalised(): Promise<Model> {
  const { model, g } = newModel('norm')
  const x = g.input('x', { dtype: 'float32', shape: dims })
  const parameters = [three(1, 2, -1), three(0, 1, 2), three(0, 0, 0), three(1, 1, 1)]
  const [y] = g.node('BatchNormalization', [x, ...parameters], { name: 'norm' })
  g.output('y', y!)
  await inferShapes(model)
  return model
}

describe('BatchNormalization in training form', () => {
  it('uses the statistics of the batch and says what they are', async () => {
    const model = await normalised()
    const [statistics] = trainBatchNormalization(model.graph, new Set())
    const written = writeOutBatchNormalization(model.graph, statistics!)
    expect(written.momentum).toBeCloseTo(0.9)
    // What stands behind it still knows its shape.
    expect(model.graph.outputs[0]!.type?.shape).toEqual(dims)
    const g = build(model.graph)
    g.output('mean', written.batchMean)
    g.output('variance', written.batchVariance)

    const feeds = { x: tensorOf('float32', dims, data) }
    const results = await withSession(model, {}, (session) => session.run(feeds))
    const x = nd(dims, data)
    const expected = reference.BatchNormalization!([x, nd([3], [1, 2, -1]), nd([3], [0, 1, 2])], {
      training_mode: 1,
    })
    const [y] = model.graph.outputs
    expect(relativeError(numbers(results[y!.name]!), expected.data)).toBeLessThan(1e-5)
    const average = reference.ReduceMean!([x, nd([3], [0, 2, 3])], { keepdims: 0 })
    expect(relativeError(numbers(results.mean!), average.data)).toBeLessThan(1e-6)
    const square = reference.ReduceMean!([reference.Mul!([x, x], {}), nd([3], [0, 2, 3])], {
      keepdims: 0,
    })
    const spread = square.data.map((value, channel) => value - average.data[channel]! ** 2)
    expect(relativeError(numbers(results.variance!), spread)).toBeLessThan(1e-5)
  })

  it('leaves frozen nodes, and those without constant statistics, as they answer', async () => {
    const model = await normalised()
    expect(trainBatchNormalization(model.graph, new Set(model.graph.nodes))).toEqual([])
    const [node] = model.graph.nodes
    node!.setInput(3, new Value('computed'))
    expect(trainBatchNormalization(model.graph, new Set())).toEqual([])
    expect(node!.attributes.has('training_mode')).toBe(false)
  })
})

describe('feedDropout', () => {
  async function dropped(...ratios: readonly (number | undefined)[]) {
    const { model, g } = newModel('dropout')
    let x = g.input('x', { dtype: 'float32', shape: [2, 3] })
    for (const ratio of ratios) x = g.Dropout(x, ratio)
    g.graph.outputs.push(x)
    await inferShapes(model)
    return { model, masks: feedDropout(g, g.graph) }
  }

  it('multiplies with a mask that is an input', async () => {
    const { model, masks } = await dropped(0.25, undefined)
    expect(masks.map(({ ratio }) => ratio)).toEqual([0.25, 0.5])
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Mul', 'Mul'])
    const feed = (...values: number[]) => tensorOf('float32', [2, 3], values)
    const feeds = {
      x: feed(1, 2, 3, 4, 5, 6),
      [masks[0]!.input.name]: feed(0, 1, 1, 2, 2, 2),
      [masks[1]!.input.name]: feed(1, 0, 3, 1, 0, 1),
    }
    const results = await withSession(model, {}, (session) => session.run(feeds))
    expect(numbers(Object.values(results)[0]!)).toEqual([0, 0, 9, 8, 0, 12])
  })

  it('lets everything through a Dropout that drops nothing', async () => {
    const { model, masks } = await dropped(0)
    expect(masks).toEqual([])
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Identity'])
  })
})
