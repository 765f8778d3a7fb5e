import { describe, expect, it } from '@jest/globals'
import { noiseOf } from '../../../benchmarks/layers/noise.ts'
import { optimizedGraph, originsOf, withOwnNames } from '../../../benchmarks/layers/origins.ts'
import { profileFrom } from '../../../benchmarks/layers/profile.ts'
import { layerTable } from '../../../benchmarks/layers/table.ts'
import { layersNotes, layersTable } from '../../../benchmarks/report/layers.ts'
import { newModel } from '../../../onnx/build.ts'
import { allNodes } from '../../../onnx/graph.ts'
import { loadModel } from '../../../onnx/load.ts'
import { countMacs } from '../../../onnx/multiplications.ts'
import { randomFeeds } from '../../../runtime/random-feeds.ts'
import { inferShapes } from '../../../runtime/shapes.ts'
import { quantized, samplesOf, weights } from '../../stages/quantize/support.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'

const node = (name: string, ts: number, dur: number, op_name = 'Conv') => ({
  ...{ cat: 'Node', name: `${name}_kernel_time`, ts, dur },
  args: { op_name, provider: 'CPUExecutionProvider', output_type_shape: [{ float: [1, 2] }] },
})
const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur })

describe('profileFrom', () => {
  it('leaves out warm-up, and counts the time of a branch once', () => {
    const events = [
      ...[node('a', 10, 900), run(0, 1000)],
      ...[
        node('inner', 2020, 40),
        node('branch', 2010, 100, 'If'),
        node('a', 2200, 300),
        run(2000, 1000),
      ],
      ...[node('copy', 3900, 50, 'MemcpyToHost'), node('a', 4000, 500), run(3800, 1000)],
    ]
    const { nodes, copying, outside } = profileFrom(events, 1)
    const times = Object.fromEntries(nodes.map(({ name, times: own }) => [name, own]))
    expect(times).toEqual({ branch: [0.06, 0], inner: [0.04, 0], a: [0.3, 0.5] })
    expect(copying).toEqual([0, 0.05])
    expect(outside.map((ms) => ms.toFixed(2))).toEqual(['0.60', '0.45'])
  })
})

describe('layerTable', () => {
  itWithShared('gives every layer of the file to one node, and all of the time', async () => {
    const path = sharedModel('conv-tiny-resnet8-cifar10.onnx')
    const table = await layerTable(
      {
        ...{ path, where: path, provider: 'cpu', threads: 1, batch: 1, seconds: 0.01 },
        random: { seed: 1 },
      },
      undefined,
    )
    const model = await loadModel(path)
    const names = [...allNodes(model.graph)].map(({ name }) => name).sort()
    expect(table.rows.flatMap(({ layers }) => layers).sort()).toEqual(names)
    const shares = table.rows.reduce((sum, { share }) => sum + share, 0)
    expect(shares + table.copying + table.overhead).toBeCloseTo(1, 9)
    await inferShapes(model, { batch: 1 })
    expect(table.rows.reduce((sum, { macs }) => sum + (macs ?? 0), 0)).toBe(countMacs(model))
    expect(table.random).toBe(true)
    expect(table.rows[0]!.share).toBeGreaterThanOrEqual(table.rows[1]!.share)
    // Those that only carry numbers have no place in the name of what computes.
    const named = (layers: string[], carriers: number) =>
      layersTable({ ...table, rows: [{ ...table.rows[0]!, layers, carriers }] }, '').rows[0]![0]
    expect(named(['conv', 'Relu', 'Cast'], 1)).toEqual({ text: 'conv + Relu' })
    expect(named(['Cast'], 1)).toEqual({ text: 'Cast' })
    expect(named(['a', 'b', 'c', 'd', 'e'], 1)).toEqual({ text: 'a + b + c + 1 more' })
    // What holds for several models is told once.
    const times = [
      { ...table, runs: 5 },
      { ...table, runs: 14 },
      { ...table, runs: 9, batch: 8 },
    ]
    expect(layersNotes(times)).toEqual([
      '5 to 14 profiled runs on cpu, batch 1, 1 thread; noting the times slows every node.',
      '9 profiled runs on cpu, batch 8, 1 thread; noting the times slows every node.',
      'The inputs are random: no data was given.',
    ])
  })
})

describe('originsOf', () => {
  it('finds the layers of a float16 file that ONNX Runtime computes in float32', async () => {
    const { model: float, g } = newModel('float', 17)
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3, 9, 9] })
    const hidden = g.Relu(g.Conv(x, weights([8, 3, 3, 3], 'a')))
    const y = g.Relu(g.Gemm(g.Flatten(hidden), weights([392, 4], 'b')))
    g.output('y', y, { dtype: 'float32' })
    const { model } = await quantized(float, { scheme: 'float16' }, samplesOf([3, 9, 9]))
    const file = withOwnNames(model)
    const rewritten = await optimizedGraph(file, 'cpu')
    const ran = rewritten!.nodes.map(({ name }) => name)
    const origins = [...originsOf(file.graph, rewritten, ran).values()]
    const layers = origins.map((nodes) => nodes.map(({ opType }) => opType))
    expect(layers).toContainEqual(['Cast', 'Conv', 'Relu'])
    expect(layers).toContainEqual(['Gemm', 'Relu'])
  })

  itWithShared('gives a residual addition to the convolution that adds', async () => {
    const path = sharedModel('conv-distiller-resnet20-dense-cifar10.onnx')
    const { graph } = await loadModel(path)
    const rewritten = await optimizedGraph(path, 'cpu')
    const ran = rewritten!.nodes.map(({ name }) => name)
    const origins = [...originsOf(graph, rewritten, ran).values()]
    const layers = origins.map((nodes) => nodes.map(({ name }) => name))
    const block = ['layer1.0.conv2', 'layer1.0.bn2', 'layer1.0_add', 'layer1.0_relu2']
    expect(layers).toContainEqual(block)
    expect(layers).toContainEqual(['layer1.1.conv1', 'layer1.1.bn1', 'layer1.1_relu1'])
  })

  itWithShared('gives what is reshaped for a matrix product to that product', async () => {
    const path = sharedModel('vittrack.onnx')
    const { graph } = withOwnNames(await loadModel(path))
    const rewritten = await optimizedGraph(path, 'cpu')
    const ran = rewritten!.nodes.map(({ name }) => name)
    const products = originsOf(graph, rewritten, ran).get('MatMul_82/MatMulAddFusion')!
    expect(products.map(({ name }) => name)).toEqual(['MatMul_82', 'Add_83'])
  })

  itWithShared('goes by names alone where the rewritten graph is not known', async () => {
    const { graph } = withOwnNames(await loadModel(sharedModel('mnist-8-ortweb.onnx')))
    const origins = originsOf(graph, undefined, ['Convolution28_token_1', 'Pooling66_token_5'])
    expect(origins.get('Convolution28_token_1')!.map(({ name }) => name)).toEqual([
      'Convolution28',
      'Plus30',
      'ReLU32',
    ])
  })
})

describe('noiseOf', () => {
  itWithShared('finds a model exact beside itself', async () => {
    const model = await loadModel(sharedModel('mnist-8-ortweb.onnx'))
    const feeds = randomFeeds([{ name: 'Input3', dtype: 'float32', shape: [1, 1, 28, 28] }], {
      ...{ seed: 1, where: 'model' },
    })
    const names = ['Plus30_Output_0', 'Plus214_Output_0']
    const noise = await noiseOf(model, model, names, [feeds], { threads: 1, where: 'model' })
    expect(noise).toEqual(
      new Map(names.map((name) => [name, { sqnrDb: 'exact', against: name }] as const)),
    )
  })
})

describe('randomFeeds', () => {
  const inputs = [{ name: 'x', dtype: 'float32', shape: ['n', 3] } as const]
  const refused: readonly (readonly [string, Parameters<typeof randomFeeds>, RegExp])[] = [
    [
      'a text',
      [[{ name: 't', dtype: 'string', shape: [1] }], base()],
      /input 't' cannot be made up/,
    ],
    ['a strange name', [inputs, { ...base(), shapes: { y: [1] } }], /no input of that name: 'y'/],
    [
      'a wrong shape',
      [inputs, { ...base(), shapes: { x: [1, 4] } }],
      /cannot have the shape \[1,4\]/,
    ],
  ]
  it.each(refused)('refuses %s in one line', (_what, given, message) => {
    expect(() => randomFeeds(...given)).toThrow(message)
  })

  function base() {
    return { seed: 1, where: 'model' }
  }
})
