// Models in which channels cannot be followed, or not all of them: what inspection and pruning say.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, jest } from '@jest/globals'
import { execute } from '../../cli/inspect.ts'
import { type Builder, build } from '../../onnx/build.ts'
import { Graph, type Model, type Value } from '../../onnx/graph.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { prune } from '../../stages/prune/index.ts'
import { type Feature, Net } from '../channels/topologies/net.ts'
import { contextOf } from './quantize/support.ts'

const folder = mkdtempSync(join(tmpdir(), 'condense-unfollowed-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What `condense inspect --groups` prints, a line each, with single spaces. */
async function inspected(model: Model): Promise<string[]> {
  const path = join(folder, 'model.onnx')
  await saveModel(model, path)
  let text = ''
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk)
    return true
  })
  try {
    await execute({ model: path, groups: true } as never)
  } finally {
    write.mockRestore()
  }
  const lines = text.split('\n').map((line) => line.trim().replace(/ +/g, ' '))
  return lines
    .slice(lines.findIndex((line) => line.startsWith('group channels')) + 1)
    .filter((line) => line !== '')
}

const pruned = (model: Model, rest: object = {}) =>
  prune.run(
    { model, facts: {} },
    prune.options.parse({
      ...{ stage: 'prune', structure: 'channels', target: { sparsity: 0.4 } },
      ...rest,
    }),
    contextOf(model),
  )

const netOf = (write: (net: Net) => void): Model => {
  const net = new Net()
  write(net)
  return net.model
}

/** The body of a loop that runs once, over the channels of `x`. */
function loop(g: Builder, x: Value, body: (inner: Builder, state: Value) => Value): Value {
  const inner = build(new Graph('body', g.graph))
  inner.input('i', { dtype: 'int64', shape: [] })
  const condition = inner.input('condition', { dtype: 'bool', shape: [] })
  const state = inner.input('state', { dtype: 'float32' })
  const next = body(inner, state)
  inner.output('condition_out', inner.Identity(condition), { dtype: 'bool', shape: [] })
  inner.output('state_out', next, { dtype: 'float32' })
  const [result] = g.node('Loop', [tensorOf('int64', [], [1]), tensorOf('bool', [], [1]), x], {
    name: 'loop',
    attributes: { body: inner.graph },
  })
  return result!
}

const quantized = (net: Net, name: string, x: Value, from: number, to: number): Value => {
  const weight = new Int8Array(from * to * 9).map((_, at) => (at * 7) % 100)
  const zero = tensorOf('uint8', [], [128])
  return net.node(
    'QLinearConv',
    name,
    [
      ...[x, 0.1, zero, tensorOf('int8', [to, from, 3, 3], weight), 0.01],
      ...[tensorOf('int8', [], [0]), 0.5, zero],
    ],
    { pads: [1, 1, 1, 1] },
  )
}

/** A shape that is known only when the model runs. */
const shaped = netOf((net) => {
  const a = net.conv('a', net.input('x', [3, 8, 8]), 6)
  const shape = net.g.input('shape', { dtype: 'int64', shape: [2] })
  net.output('y', net.of(net.g.Abs(net.g.Reshape(a.value, shape)), [384]))
})

const last = "head 5 head no: output 'y' of the model keeps its shape"
const before = 'its weights are quantized: prune before quantization'
const twin = 'belongs to a quantized model: prune before quantization'

describe('channels that cannot be followed', () => {
  it.each<[string, Model, string[], string]>([
    [
      'in quantized operators',
      netOf((net) => {
        const { value } = net.input('x', [3, 8, 8])
        const zero = tensorOf('uint8', [], [128])
        const x = net.g.QuantizeLinear(value, 0.1, zero)
        const y = quantized(net, 'b', quantized(net, 'a', x, 3, 6), 6, 4)
        net.output('y', net.of(net.g.DequantizeLinear(y, 0.5, zero), [4, 8, 8]))
      }),
      [`– – a no: ${before}`, `– – b no: ${before}`],
      `'a': ${before}; 'b': ${before}`,
    ],
    [
      'behind quantized weights',
      netOf((net) => {
        const x = net.input('x', [3, 8, 8])
        const bytes = tensorOf('int8', [6, 3, 3, 3], new Int8Array(162).fill(3))
        const weight = net.g.DequantizeLinear(bytes, 0.1)
        net.classify(net.of(net.node('Conv', 'a', [x.value, weight]), [6, 6, 6]))
      }),
      [`a 6 a no: DequantizeLinear 'DequantizeLinear' ${twin}`, last],
      `'a': DequantizeLinear 'DequantizeLinear' ${twin}; 'head': output 'y' of the model keeps its shape`,
    ],
    [
      'inside a loop',
      netOf((net) => {
        const x = net.input('x', [3, 8, 8])
        const y = loop(
          net.g,
          x.value,
          (inner, state) =>
            inner.node('Conv', [state, net.noise([3, 3, 1, 1])], { name: 'inside' })[0]!,
        )
        net.output('y', net.of(y, [3, 8, 8]))
      }),
      ["– – inside no: Conv 'inside' is in Loop 'loop'"],
      "'inside': Conv 'inside' is in Loop 'loop'",
    ],
    [
      'through a shape that is computed',
      shaped,
      ["a 6 a no: the shape of 'Reshape_output' is not known"],
      "'a': the shape of 'Reshape_output' is not known",
    ],
  ])('%s: inspection and pruning say why', async (_, model, rows, reasons) => {
    expect(await inspected(model)).toEqual(rows)
    const text = serializeModel(model)
    await expect(pruned(model)).rejects.toThrow(
      `no channels can be cut: ${reasons} — choose other layers, or structure 'weights'`,
    )
    expect(Buffer.compare(serializeModel(model), text)).toBe(0)
  })

  it('are said to be none where no layer has weights', async () => {
    const model = netOf((net) => net.output('y', net.relu(net.input('x', [3, 8, 8]))))
    expect((await inspected(model)).at(-1)).toBe(
      'no groups of channels: the model has no layer with weights',
    )
    await expect(pruned(model)).rejects.toThrow(
      "no channels can be cut: no layer has weights — choose other layers, or structure 'weights'",
    )
  })

  it('are named up to three', async () => {
    const model = netOf((net) => {
      for (const name of ['a', 'b', 'c', 'd'])
        net.output(`y${name}`, net.conv(name, net.input(`x${name}`, [3, 8, 8]), 2))
    })
    await expect(pruned(model)).rejects.toThrow(/; 'c': [^;]*; and 1 more — choose other layers/)
  })
})

describe('where only some channels cannot be followed, the others are cut', () => {
  const branches = (net: Net, x: Feature, name: string): Feature => {
    const branch = (label: string) => {
      const inner = build(new Graph(label, net.g.graph))
      inner.output(`${label}_output`, inner.Relu(x.value), { dtype: 'float32' })
      return inner.graph
    }
    const attributes = { then_branch: branch('then'), else_branch: branch('else') }
    const condition = net.g.Greater(
      net.g.ReduceSum(x.value, undefined, { keepdims: 0 }),
      net.noise([]),
    )
    return net.of(net.node('If', name, [condition], attributes), x.shape)
  }

  it.each<[string, Model, string[], string]>([
    [
      'behind a loop',
      netOf((net) => {
        const a = net.conv('a', net.input('x', [3, 8, 8]), 6)
        const y = loop(net.g, a.value, (inner, state) => inner.Relu(state))
        net.classify(net.conv('b', net.of(y, [6, 8, 8]), 4))
      }),
      ["a 6 a no: Loop 'loop' repeats a subgraph", 'b 4 b yes', last],
      'cut 2 of 4 channels',
    ],
    [
      'behind branches',
      netOf((net) => {
        const a = net.conv('a', net.input('x', [3, 8, 8]), 6)
        net.classify(net.conv('b', branches(net, a, 'if'), 4))
      }),
      // What decides is a sum over the channels, which may go without some.
      ['a 6 a yes', 'b 4 b yes', last],
      'cut 4 of 10 channels',
    ],
    [
      'with free places',
      netOf((net) => {
        const value = net.g.input('x', { dtype: 'float32', shape: ['N', 3, 'height', 'width'] })
        net.classify(net.conv('b', net.conv('a', net.of(value, [3, 8, 8]), 6), 4))
      }),
      ['a 6 a yes', 'b 4 b yes', last],
      'cut 4 of 10 channels',
    ],
    [
      'with a weight that two layers share',
      netOf((net) => {
        const weight = net.weight([5, 3, 3, 3], 27)
        const x = net.input('x', [3, 8, 8])
        const a = net.conv('a', x, 5, {}, weight)
        net.classify(net.concat([a, net.conv('b', net.relu(x), 5, {}, weight)]))
      }),
      ['a 5 a, b yes', last],
      'cut 2 of 5 channels',
    ],
  ])('%s', async (_, model, rows, summary) => {
    expect(await inspected(model)).toEqual(rows)
    const { facts, model: smaller } = await pruned(model)
    expect(facts.summary).toContain(summary)
    await withSession(smaller, {}, async () => undefined)
  })

  it('and a layer that is excluded spares the one that shares its weight', async () => {
    const model = netOf((net) => {
      const weight = net.weight([5, 3, 3, 3], 27)
      const x = net.input('x', [3, 8, 8])
      const a = net.conv('a', x, 5, {}, weight)
      net.classify(net.conv('c', net.concat([a, net.conv('b', net.relu(x), 5, {}, weight)]), 4))
    })
    const { facts } = await pruned(model, { exclude: ['b'] })
    expect(facts.summary).toContain('of 4 channels')
  })
})
