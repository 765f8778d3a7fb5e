// Whole layers: what is left computes what the full model does with the branch times zero.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { prepareChannels } from '../../../channels/prepare.ts'
import { type ArchitectureInput, buildArchitecture } from '../../../models/index.ts'
import { type ModelShape, oneInput } from '../../../models/layers.ts'
import { build, newModel } from '../../../onnx/build.ts'
import { cloneModel } from '../../../onnx/clone.ts'
import type { Graph, Model, Node, Value } from '../../../onnx/graph.ts'
import { layerName, layersOf } from '../../../onnx/layers.ts'
import { countMacs } from '../../../onnx/multiplications.ts'
import { countParameters } from '../../../onnx/parameters.ts'
import { liftConstants } from '../../../onnx/passes/constants.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements, tensorOf } from '../../../onnx/tensor.ts'
import { prune } from '../../../stages/prune/index.ts'
import { pruneLayers } from '../../../stages/prune/layers.ts'
import { pruneOptions } from '../../../stages/prune/options.ts'
import { difference, feedsFor, interfaceOf } from '../../models/derived.ts'
import { text } from '../../models/examples.ts'
import { classes, contextOf, shape } from '../support.ts'

const images = oneInput(shape, classes)
const words: ModelShape = { inputs: text(6, 20), outputs: 5 }
const net = (options: ArchitectureInput, input: ModelShape = images): Model =>
  buildArchitecture(options, { ...input, seed: 1 })

const resnet = net({ architecture: 'resnet', depth: 14, width: 4 })
const vit = net({ architecture: 'vit', patch: 4, depth: 3, hidden: 12, heads: 2 })

/** Prunes as a recipe would say it; gives the names that were logged as gone, too. */
async function pruned(model: Model, options: object) {
  const { context, messages } = contextOf(model)
  const parsed = pruneOptions.parse({ stage: 'prune', structure: 'layers', ...options })
  // As the pipeline does: who reads no data is given none.
  const fed = prune.dataUse(parsed) === 'never' ? { ...context, data: undefined } : context
  const done = await pruneLayers(model, parsed, fed)
  return { ...done, gone: messages.map((line) => line.slice(0, line.indexOf(': gone'))) }
}

/** All nodes that a node depends on. */
function before(start: Node): Set<Node> {
  const found = new Set<Node>()
  const open = [start]
  for (const node of open)
    for (const input of node.inputs) {
      const maker = input?.producer
      if (!maker || found.has(maker)) continue
      found.add(maker)
      open.push(maker)
    }
  return found
}

/** The sum behind a layer whose other term the layer is made of, and which of its inputs the branch is. */
function sumBehind(graph: Graph, name: string): { node: Node; input: number } {
  const start = graph.nodes.find((node) => layerName(node) === name)!
  const made = before(start)
  const fed = new Set(graph.feeds)
  const reached = new Set<Value | undefined>(start.outputs)
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => reached.has(input))) continue
    for (const output of node.outputs) reached.add(output)
    if (node.opType !== 'Add') continue
    const input = node.inputs.findIndex((value) => reached.has(value))
    const other = node.input(1 - input)
    if (!other.tensor && (fed.has(other) || made.has(other.producer!))) return { node, input }
  }
  throw new Error(`no sum behind ${name}`)
}

/** The full model with the branches of these layers times zero. */
function zeroed(model: Model, names: readonly string[]): Model {
  const copy = cloneModel(model)
  liftConstants(copy)
  for (const name of names) {
    const { node, input } = sumBehind(copy.graph, name)
    node.setInput(input, build(copy.graph, node).Mul(node.input(input), 0))
  }
  return copy
}

const macsOf = async (model: Model) => countMacs(await prepareChannels(model))!
const parametersOf = (model: Model) => countParameters(model).parameters

describe('pruning whole layers', () => {
  it.each<[string, Model, Record<string, unknown>]>([
    ['a residual net, by change', resnet, { target: { sparsity: 0.5 } }],
    ['a residual net, by angle', resnet, { target: { macs: 0.6 }, criterion: 'angular' }],
    ['a vision transformer, by change', vit, { target: { sparsity: 0.67 } }],
    ['a vision transformer, by angle', vit, { target: { parameters: 0.5 }, criterion: 'angular' }],
    [
      'a text encoder, pre-norm',
      net({ architecture: 'bert', layers: 3, hidden: 8, intermediate: 12, norm: 'pre' }, words),
      { target: { sparsity: 0.5 }, criterion: 'l1' },
    ],
    [
      'a text encoder, post-norm',
      net({ architecture: 'bert', layers: 3, hidden: 8, intermediate: 12 }, words),
      { target: { macs: 0.5 }, criterion: 'l2' },
    ],
    [
      'inverted residuals',
      net({ architecture: 'mobilenet-v2', width: 0.1 }),
      { target: { sparsity: 0.4 }, criterion: 'random' },
    ],
  ])('%s leaves what the branches times zero give', async (_what, model, options) => {
    const bytes = Buffer.from(serializeModel(model))
    const { model: smaller, gone, summary } = await pruned(model, options)
    expect(gone.length).toBeGreaterThan(0)
    expect(summary).toMatch(/^cut \d+ of \d+ residual branches, .* % of MACs and .* left$/)
    const reference = zeroed(model, gone)
    expect(await difference(reference, smaller, feedsFor(model))).toBeLessThan(1e-5)
    expect(await difference(model, smaller, feedsFor(model))).toBeGreaterThan(1e-4)
    expect(smaller.graph.nodes.length).toBeLessThan(model.graph.nodes.length)
    expect(parametersOf(smaller)).toBeLessThan(parametersOf(model))
    expect(interfaceOf(smaller)).toEqual(interfaceOf(model))
    expect(bytes.equals(serializeModel(model))).toBe(true)
  })

  it('meets a target from below, and gives back what need not have gone', async () => {
    const { model, gone } = await pruned(resnet, { target: { macs: 0.55 }, criterion: 'l1' })
    const all = await macsOf(resnet)
    expect((await macsOf(model)) / all).toBeLessThanOrEqual(0.55)
    for (const name of gone) {
      const others = gone.filter((other) => other !== name)
      // All of them are needed.
      if (others.length === 0) continue
      const { model: more } = await pruned(resnet, {
        target: { sparsity: 0.99 },
        criterion: 'l1',
        layers: others,
      })
      expect((await macsOf(more)) / all).toBeGreaterThan(0.55)
    }
  })

  it('takes blocks that a plain chain repeats', async () => {
    const plain = chain(4)
    const { model, gone, summary } = await pruned(plain, { target: { sparsity: 0.5 } })
    expect(summary).toMatch(/^cut 2 of 4 blocks/)
    expect(gone).toHaveLength(2)
    expect(layersOf(model.graph)).toHaveLength(3)
    // A block that changes nothing goes first.
    const { gone: first } = await pruned(chain(4, 2), { target: { sparsity: 0.25 } })
    expect(first).toEqual(['layer2'])
  })

  it('takes whole blocks of a transformer where they are asked for', async () => {
    const options = { target: { sparsity: 0.33 }, unit: 'block', criterion: 'angular' }
    const { model, summary } = await pruned(vit, options)
    expect(summary).toMatch(/^cut 1 of 3 blocks/)
    const shallow = net({ architecture: 'vit', patch: 4, depth: 2, hidden: 12, heads: 2 })
    expect(parametersOf(model)).toBe(parametersOf(shallow))
  })

  it('takes the branch first that matters least', async () => {
    const quiet = cloneModel(resnet)
    liftConstants(quiet)
    // The last norm of the second block makes next to nothing.
    const norm = quiet.graph.nodes.filter(({ opType }) => opType === 'BatchNormalization')[4]!
    for (const at of [1, 2]) {
      const { dims, size } = norm.input(at).tensor!
      norm.setInput(
        at,
        quiet.graph.addInitializer(
          'quiet',
          tensorOf('float32', dims, new Float32Array(size).fill(1e-4)),
        ),
      )
    }
    const { name } = layersOf(quiet.graph)[3]!
    for (const criterion of ['change', 'angular']) {
      const { gone } = await pruned(quiet, { target: { sparsity: 0.2 }, criterion })
      expect(gone).toEqual([name])
    }
  })

  it('keeps to the layers that are named, and leaves excluded ones alone', async () => {
    const names = layersOf(resnet.graph).map(({ name }) => name)
    const one = await pruned(resnet, {
      target: { sparsity: 0.9 },
      layers: [names[1]!],
      criterion: 'l1',
    })
    expect(one.gone).toEqual([names[1]])
    const rest = await pruned(resnet, {
      target: { sparsity: 0.99 },
      exclude: [names[2]!],
      criterion: 'l1',
    })
    expect(rest.gone).not.toContain(names[1])
  })

  it('goes in steps, with recalibration and recovery', async () => {
    const { context, messages } = contextOf(resnet)
    const { model, facts } = await prune.run(
      { model: resnet, facts: {} },
      prune.options.parse({
        ...{ stage: 'prune', structure: 'layers', target: { sparsity: 0.5 }, criterion: 'l1' },
        ...{ steps: 2, recalibrate: { samples: 64 }, recover: { epochs: 2, batch: 64 } },
      }),
      context,
    )
    expect(facts.epochs).toHaveLength(2)
    expect(messages.filter((line) => line.includes(': gone with'))).toHaveLength(2)
    expect(messages.filter((line) => line.startsWith('took the statistics of'))).toHaveLength(2)
    expect(messages.filter((line) => line.includes('answers 256 training'))).toHaveLength(1)
    // Each of the two branches had two of the fifteen layers.
    expect(layersOf(model.graph)).toHaveLength(layersOf(resnet.graph).length - 4)
  })

  it('measures what a branch changes once', async () => {
    const { context } = contextOf(resnet)
    const options = { stage: 'prune', structure: 'layers', target: { sparsity: 0.5 } }
    const run = () => pruneLayers(resnet, pruneOptions.parse(options), context)
    const first = await run()
    const [file, ...others] = readdirSync(context.shared)
    expect(others).toEqual([])
    expect(file).toMatch(/^layers-[0-9a-f]{64}\.json$/)
    const path = join(context.shared, file!)
    const known = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>
    expect(Object.keys(known)).toHaveLength(4)
    // What is known is believed, so that it decides.
    const turned = Object.fromEntries(Object.entries(known).map(([key, score]) => [key, -score]))
    writeFileSync(path, JSON.stringify(turned))
    expect(layersOf((await run()).model.graph).map(({ name }) => name)).not.toEqual(
      layersOf(first.model.graph).map(({ name }) => name),
    )
    writeFileSync(path, '{')
    const again = Buffer.from(serializeModel((await run()).model))
    expect(again.equals(serializeModel(first.model))).toBe(true)
  })

  it('keeps the name of an output that a branch made', async () => {
    const { model, g } = newModel('sum')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
    const weights = tensorOf(
      'float32',
      [3, 3],
      Float32Array.from({ length: 9 }, (_, at) => at),
    )
    g.output('y', g.Add(g.MatMul(x, weights), x), { dtype: 'float32', shape: ['N', 3] })
    const { model: smaller } = await pruned(model, { target: { sparsity: 0.5 }, criterion: 'l1' })
    expect(smaller.graph.nodes.map(({ opType }) => opType)).toEqual(['Identity'])
    expect(interfaceOf(smaller)).toEqual(interfaceOf(model))
  })

  it.each<[Model, object, RegExp]>([
    [resnet, { target: { macs: 0.001 } }, /^target\.macs: cannot be reached: 0\.001 — 0\.\d+ is/],
    [resnet, { target: { sparsity: 0.5 }, layers: ['nothing'] }, /^layers: matches no layer/],
    [
      resnet,
      { target: { sparsity: 0.5 }, exclude: ['*'] },
      /^structure 'layers': none is left of 4/,
    ],
    [
      net({ architecture: 'mlp', hidden: [8] }),
      { target: { sparsity: 0.5 } },
      /^structure 'layers': there is nothing to leave out: the model has no residual branches and/,
    ],
  ])('says what is wrong: %#', async (model, options, message) => {
    await expect(pruned(model, { criterion: 'l1', ...options })).rejects.toThrow(message)
  })

  it.each([
    [{ criterion: 'fpgm' }, "'fpgm' scores no layers"],
    [{ round: 8 }, "does not go with structure 'layers'"],
    [{ target: { bytes: 0.5 } }, "does not go with structure 'layers'"],
  ])('refuses %j', (options, message) => {
    const all = { stage: 'prune', structure: 'layers', target: { sparsity: 0.5 }, ...options }
    const result = pruneOptions.safeParse(all)
    expect(result.error?.issues.map((issue) => issue.message).join()).toContain(message)
  })
})

/** So many layers `[N, 16]` in a row without shortcuts, then logits; one of them may be nearly the identity. */
function chain(count: number, identity?: number): Model {
  const { model, g } = newModel('chain')
  let x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  const matrix = (layer: number, columns: number) =>
    tensorOf(
      'float32',
      [16, columns],
      Float32Array.from({ length: 16 * columns }, (_, at) => {
        const diagonal = Math.floor(at / columns) === at % columns ? 1 : 0
        return diagonal + (layer === identity ? 1e-4 : 0.5) * Math.sin(at * (layer + 1))
      }),
    )
  x = g.Flatten(g.AveragePool(x, { kernel_shape: [2, 2], strides: [2, 2] }))
  x = g.Relu(x)
  for (let layer = 0; layer < count; layer++) {
    const [made] = g.node('MatMul', [x, matrix(layer, 16)], { name: `layer${layer}` })
    x = g.Relu(made)
  }
  g.output('y', g.MatMul(x, matrix(count, classes)), { dtype: 'float32', shape: ['N', classes] })
  return model
}

it('the weights of what stays are as they were', async () => {
  const { model } = await pruned(resnet, { target: { sparsity: 0.5 }, criterion: 'l1' })
  const own = new Map(layersOf(resnet.graph).map(({ name, weight }) => [name, weight.tensor!]))
  for (const { name, weight } of layersOf(model.graph))
    expect(elements(weight.tensor!, 'float32')).toEqual(elements(own.get(name)!, 'float32'))
})
