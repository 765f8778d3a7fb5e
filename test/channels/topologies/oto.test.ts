// The topologies of OTO's sanity checks (github.com/tianyic/only_train_once, sanity_check/), as small graphs of our own.
import { describe, it } from '@jest/globals'
import { tensorOf } from '../../../onnx/tensor.ts'
import type { Feature, Net } from './net.ts'
import { expectTopology, head, type Topology } from './topology.ts'

/** Two 3 x 3 convolutions and a shortcut (He et al. 2016), before the last activation. */
function basicBlock(net: Net, name: string, x: Feature, channels: number, stride: number): Feature {
  const inner = net.block(`${name}1`, x, channels + 1, { stride })
  const outer = net.batchNorm(net.conv(`${name}2`, inner, channels, { bias: false }))
  const same = stride === 1 && x.shape[0] === channels
  const laid = { kernel: 1, stride, bias: false }
  return net.add(outer, same ? x : net.batchNorm(net.conv(`${name}s`, x, channels, laid)))
}

/** A 3 x 3 convolution between two of 1 x 1. */
function bottleneck(net: Net, name: string, x: Feature, channels: number): Feature {
  const a = net.block(`${name}1`, x, 4, { kernel: 1 })
  const b = net.block(`${name}2`, a, 5)
  const c = net.batchNorm(net.conv(`${name}3`, b, channels, { kernel: 1 }))
  return net.add(c, x.shape[0] === channels ? x : net.conv(`${name}s`, x, channels, { kernel: 1 }))
}

/** A residual of a depthwise convolution, LayerNormalization over the channels and a perceptron (Liu et al. 2022). */
function convNext(net: Net, name: string, x: Feature, channels: number): Feature {
  const deep = net.conv(`${name}d`, x, channels, { kernel: 7, group: channels })
  const rows = net.layerNorm(net.transpose(deep, [1, 2, 0]))
  const wide = net.dense(`${name}1`, rows, 10)
  const active = net.of(net.node('Gelu', 'Gelu', [wide.value]), wide.shape)
  const narrow = net.dense(`${name}2`, active, channels)
  const scaled = net.of(net.g.Mul(narrow.value, net.noise([channels])), narrow.shape)
  return net.add(x, net.transpose(scaled, [2, 0, 1]))
}

/** Half of the channels goes on as it is, then all are dealt out anew (Ma et al. 2018, ShuffleNet V2). */
function shuffleUnit(net: Net, name: string, x: Feature): Feature {
  const half = (x.shape[0] ?? 0) / 2
  const [left, right] = net.split(x, [half, half])
  const a = net.block(`${name}1`, right!, half, { kernel: 1 })
  const b = net.batchNorm(net.conv(`${name}2`, a, half, { group: half, bias: false }))
  const c = net.block(`${name}3`, b, half, { kernel: 1 })
  return net.shuffle(net.concat([left!, c]), 2)
}

/** Convolution, norm, x · sigmoid(x). */
const yoloConv = (net: Net, name: string, x: Feature, channels: number, kernel = 3, stride = 1) =>
  net.silu(net.batchNorm(net.conv(name, x, channels, { kernel, stride, bias: false })))

/** Two ways that are joined; one has residuals (Wang et al. 2020, CSPNet). */
function crossStage(net: Net, name: string, x: Feature, channels: number): Feature {
  const one = yoloConv(net, `${name}1`, x, 5, 1)
  const two = yoloConv(net, `${name}2`, x, 6, 1)
  const inner = yoloConv(net, `${name}4`, yoloConv(net, `${name}3`, one, 4, 1), 5)
  return yoloConv(net, `${name}5`, net.concat([net.add(one, inner), two]), channels, 1)
}

const topologies: Readonly<Record<string, Topology>> = {
  'norm, case 1: norms of the input and of a join': [
    (net, x) => {
      const a = net.conv('a', net.batchNorm(x), 6)
      const b = net.conv('b', net.relu(net.batchNorm(a)), 4)
      net.classify(net.conv('c', net.relu(net.batchNorm(net.concat([a, b]))), 7))
    },
    ['a 6', 'b 4', 'c 7', head],
  ],
  'concat, case 1: a join and a sum of its parts': [
    (net, x) => {
      const [a, b] = [net.block('a', x, 6), net.block('b', x, 6)]
      const joined = net.conv('c', net.concat([a, b]), 6)
      net.classify(net.add(joined, a))
    },
    ['a + c 6', 'b 6', head],
  ],
  'concat, case 2: a join that is added to a layer': [
    (net, x) => {
      const joined = net.concat([net.conv('a', x, 4), net.conv('b', x, 6)])
      const c = net.conv('c', joined, 10)
      net.classify(net.batchNorm(net.add(c, joined)))
    },
    ['a + c 4', 'b + c 6', head],
  ],
  'transposed convolution with InstanceNormalization, case 1': [
    (net, x) => {
      const a = net.relu(net.instanceNorm(net.conv('a', x, 8, { stride: 2 })))
      const b = net.relu(net.instanceNorm(net.upConv('b', a, 6)))
      net.classify(net.conv('c', b, 4))
    },
    ['a 8', 'b 6', 'c 4', head],
  ],
  'transposed convolution with InstanceNormalization, case 2: a ladder': [
    (net, x) => {
      const a = net.relu(net.instanceNorm(net.conv('a', x, 6)))
      const b = net.relu(net.instanceNorm(net.conv('b', a, 8, { stride: 2 })))
      const up = net.instanceNorm(net.upConv('c', b, 6))
      net.classify(net.conv('d', net.concat([net.add(up, a), a]), 5))
    },
    ['a + c 6', 'b 8', 'd 5', head],
  ],
  'convolution in groups, case 1': [
    (net, x) => {
      const a = net.block('a', x, 8)
      const b = net.block('b', a, 12, { group: 4 })
      net.classify(net.block('c', net.conv('d', b, 6, { kernel: 1 }), 6, { group: 2 }))
    },
    ['a 2', 'b 3', 'd 3', 'c 3', head],
  ],
  'InstanceNormalization, case 3: in a residual': [
    (net, x) => {
      const a = net.instanceNorm(net.conv('a', x, 6))
      const b = net.instanceNorm(net.conv('b', net.relu(a), 8))
      net.classify(net.add(net.instanceNorm(net.conv('c', net.relu(b), 6)), a))
    },
    ['a + c 6', 'b 8', head],
  ],
  'InstanceNormalization, case 4: before and after a join': [
    (net, x) => {
      const [a, b] = [net.instanceNorm(net.conv('a', x, 6)), net.conv('b', x, 4)]
      net.classify(net.conv('c', net.instanceNorm(net.concat([a, b])), 5))
    },
    ['a 6', 'b 4', 'c 5', head],
  ],
  'shared weights, case 1: one layer twice in a row': [
    (net, x) => {
      const weight = net.weight([6, 6, 3, 3], 54)
      const a = net.conv('a', x, 6)
      const b = net.relu(net.conv('b', net.relu(a), 6, {}, weight))
      net.classify(net.conv('c', b, 6, {}, weight))
    },
    ['a + b + c 6', head],
  ],
  'shared weights, case 2: one layer on two branches': [
    (net, x) => {
      const weight = net.weight([5, 6, 3, 3], 54)
      const [a, b] = [net.conv('a', x, 6), net.conv('b', x, 6)]
      const c = net.relu(net.conv('c', a, 5, {}, weight))
      net.classify(net.concat([c, net.conv('d', b, 5, {}, weight)]))
    },
    ['a + b 6', 'c + d 5', head],
  ],
  ResNet18: [
    (net, x) => {
      const stem = net.maxPool(net.block('stem', x, 6))
      const a = net.relu(basicBlock(net, 'a', stem, 6, 1))
      const b = net.relu(basicBlock(net, 'b', a, 8, 2))
      net.classify(net.relu(basicBlock(net, 'c', b, 8, 1)))
    },
    ['stem + a2 6', 'a1 7', 'b1 9', 'b2 + bs + c2 8', 'c1 9', head],
  ],
  ResNet50: [
    (net, x) => {
      const stem = net.block('stem', x, 6)
      const a = net.relu(bottleneck(net, 'a', stem, 8))
      net.classify(net.relu(bottleneck(net, 'b', a, 8)))
    },
    ['stem 6', 'a1 4', 'a2 5', 'a3 + as + b3 8', 'b1 4', 'b2 5', head],
  ],
  'VGG16 with norms': [
    (net, x) => {
      const a = net.maxPool(net.block('b', net.block('a', x, 6), 6))
      const b = net.maxPool(net.block('d', net.block('c', a, 8), 8))
      const rows = net.relu(net.linear('e', net.flatten(b), 12))
      net.output('y', net.linear('head', net.relu(net.linear('f', rows, 10)), 5))
    },
    ['a 6', 'b 6', 'c 8', 'd 8', 'e 12', 'f 10', head],
  ],
  DenseNet121: [
    (net, x) => {
      let y = net.conv('stem', x, 6)
      for (const name of ['a', 'b', 'c']) {
        const inner = net.conv(`${name}1`, net.relu(net.batchNorm(y)), 8, { kernel: 1 })
        y = net.concat([y, net.conv(`${name}2`, net.relu(net.batchNorm(inner)), 4)])
      }
      const transition = net.conv('t', net.relu(net.batchNorm(y)), 9, { kernel: 1 })
      const halved = net.g.AveragePool(transition.value, { kernel_shape: [2, 2], strides: [2, 2] })
      net.classify(net.relu(net.batchNorm(net.of(halved, [9, 4, 4]))))
    },
    ['stem 6', 'a1 8', 'a2 4', 'b1 8', 'b2 4', 'c1 8', 'c2 4', 't 9', head],
  ],
  ConvNeXt: [
    (net, x) => {
      const stem = net.conv('stem', x, 6, { stride: 2 })
      const normed = net.transpose(net.layerNorm(net.transpose(stem, [1, 2, 0])), [2, 0, 1])
      const a = convNext(net, 'b', convNext(net, 'a', normed, 6), 6)
      net.classify(net.conv('down', a, 8, { stride: 2 }))
    },
    ['stem + ad + a2 + bd + b2 6', 'a1 10', 'b1 10', 'down 8', head],
  ],
  YOLOv5: [
    (net, x) => {
      const a = crossStage(net, 'a', yoloConv(net, 'stem', x, 6), 8)
      const b = crossStage(net, 'b', yoloConv(net, 'down', a, 8, 3, 2), 10)
      const pooled = yoloConv(net, 'p', b, 5, 1)
      const once = net.blur(pooled)
      const deep = yoloConv(net, 'q', net.concat([pooled, once, net.blur(once)]), 8, 1)
      const neck = crossStage(net, 'c', net.concat([net.upsample(deep), a]), 6)
      const box = net.reshape(net.conv('box', neck, 6, { kernel: 1 }), [2, 3, 8, 8])
      net.output('y', net.transpose(box, [0, 2, 3, 1]))
    },
    [
      ...['stem 6', 'a1 + a4 5', 'a2 6', 'a3 4', 'a5 8', 'down 8', 'b1 + b4 5', 'b2 6', 'b3 4'],
      ...['b5 10', 'p 5', 'q 8', 'c1 + c4 5', 'c2 6', 'c3 4', 'c5 6'],
      "box 2: output 'y' of the model keeps its shape",
    ],
  ],
  ShuffleFaceNet: [
    (net, x) => {
      const stem = net.block('stem', x, 8)
      net.classify(net.block('last', shuffleUnit(net, 'a', stem), 6, { kernel: 1 }))
    },
    ['stem 4', 'stem 4', 'a1 + a2 4', 'a3 4', 'last 6', head],
  ],
  CARN: [
    (net, x) => {
      const entry = net.conv('entry', x, 6)
      const block = (name: string, y: Feature) => {
        const inner = net.relu(net.conv(`${name}1`, y, 6, { group: 2 }))
        return net.relu(net.add(net.conv(`${name}2`, inner, 6, { kernel: 1 }), y))
      }
      const a = block('a', entry)
      const c1 = net.relu(net.conv('c1', net.concat([entry, a]), 6, { kernel: 1 }))
      const b = block('b', c1)
      const c2 = net.relu(net.conv('c2', net.concat([entry, a, b]), 6, { kernel: 1 }))
      const up = net.conv('up', c2, 12, { kernel: 1 })
      const large = net.of(net.g.DepthToSpace(up.value, { blocksize: 2, mode: 'CRD' }), [3, 16, 16])
      net.output('y', net.conv('exit', net.relu(large), 3))
    },
    [
      ...['entry + a2 3', 'a1 3', 'c1 + b2 3', 'b1 3', 'c2 6', 'up 3'],
      "exit 3: output 'y' of the model keeps its shape",
    ],
  ],
  BERT: [
    (net) => {
      const ids = net.input('ids', [6], 'int64')
      const words = net.node('Gather', 'words', [net.weight([20, 8], 2), ids.value])
      const rows = net.layerNorm(net.of(net.g.Add(words, net.noise([6, 8])), [6, 8]))
      const heads = (name: string) =>
        net.transpose(net.reshape(net.dense(name, rows, 8), [6, 4, 2]), [1, 0, 2])
      const [q, k, v] = [heads('q'), heads('k'), heads('v')]
      const scores = net.g.Div(
        net.g.MatMul(q.value, net.transpose(k, [0, 2, 1]).value),
        Math.sqrt(2),
      )
      const mixed = net.of(net.g.MatMul(net.g.Softmax(scores, { axis: -1 }), v.value), [4, 6, 2])
      const joined = net.reshape(net.transpose(mixed, [1, 0, 2]), [6, 8])
      const attended = net.layerNorm(net.add(net.dense('o', joined, 8), rows))
      const wide = net.dense('f1', attended, 12)
      const active = net.of(net.node('Gelu', 'Gelu', [wide.value]), wide.shape)
      const y = net.layerNorm(net.add(net.dense('f2', active, 8), attended))
      const first = net.of(net.g.Gather(y.value, tensorOf('int64', [], [0]), { axis: 1 }), [8])
      net.output(
        'y',
        net.linear('head', net.of(net.g.Tanh(net.linear('p', first, 7).value), [7]), 5),
      )
    },
    ['words + o + f2 8', 'q + k + v 4', 'f1 12', 'p 7', head],
  ],
}

describe("OTO's topologies", () => {
  it.each(Object.entries(topologies))('%s', (_, topology) => expectTopology(topology))
})
