// The cases of NNI's tests of channel dependencies and of speed-up (github.com/microsoft/nni,
// test/algo/compression/pruning/), as small graphs of our own.
import { describe, it } from '@jest/globals'
import { expectTopology, head, type Topology } from './topology.ts'

const topologies: Readonly<Record<string, Topology>> = {
  'channel dependency: sums tie layers, also through poolings and activations': [
    (net, x) => {
      const a = net.maxPool(net.relu(net.conv('a', x, 6)))
      const b = net.conv('b', x, 6, { stride: 2 })
      const sum = net.add(a, b)
      net.classify(net.add(net.conv('c', sum, 6), sum))
    },
    ['a + b + c 6', head],
  ],
  'channel dependency: products tie layers, broadcast ones too': [
    (net, x) => {
      const a = net.conv('a', x, 6)
      const gate = net.sigmoid(net.linear('b', net.pooled(a), 6))
      const column = net.of(net.g.Unsqueeze(gate.value, [2, 3]), [6, 1, 1])
      net.classify(net.mul(net.conv('c', x, 6), column))
    },
    ['a 6', 'b + c 6', head],
  ],
  'input dependency: a join in front of a sum': [
    (net, x) => {
      const joined = net.concat([net.conv('a', x, 4), net.conv('b', x, 4)])
      net.classify(net.conv('d', net.add(joined, net.conv('c', x, 8)), 5))
    },
    ['a + c 4', 'b + c 4', 'd 5', head],
  ],
  'group dependency: groups of different sizes one after the other': [
    (net, x) => {
      const a = net.conv('a', x, 8)
      const b = net.conv('b', a, 8, { group: 2 })
      net.classify(net.conv('c', b, 8, { group: 4 }))
    },
    ['a 4', 'b 2', 'c 2', head],
  ],
  'group dependency: depthwise after depthwise': [
    (net, x) => {
      const a = net.conv('a', x, 6)
      const b = net.batchNorm(net.conv('b', a, 6, { group: 6 }))
      net.classify(net.conv('c', b, 12, { group: 6 }))
    },
    ['a + b + c 6', head],
  ],
  'speed-up: Softmax over classes behind layers': [
    (net, x) => {
      const a = net.relu(net.conv('a', x, 6))
      const scores = net.linear('head', net.pooled(a), 5)
      net.output('y', net.of(net.g.Softmax(scores.value, { axis: -1 }), [5]))
    },
    ['a 6', "head 5: Softmax 'Softmax' mixes the channels"],
  ],
  'speed-up: Softmax over places': [
    (net, x) => {
      const a = net.reshape(net.conv('a', x, 6), [6, 64])
      const weights = net.of(net.g.Softmax(a.value, { axis: -1 }), [6, 64])
      const b = net.reshape(net.conv('b', x, 6), [6, 64])
      const sum = net.g.ReduceSum(net.mul(weights, b).value, [2], { keepdims: 0 })
      net.output('y', net.linear('head', net.of(sum, [6]), 5))
    },
    ['a + b 6', head],
  ],
  'speed-up: means of places, padding and upsampling': [
    (net, x) => {
      const a = net.conv('a', x, 6)
      const padded = net.of(net.g.Pad(a.value, [0, 0, 1, 1, 0, 0, 1, 1]), [6, 10, 10])
      const b = net.upsample(net.conv('b', padded, 4))
      const mean = net.of(net.g.ReduceMean(b.value, [2, 3], { keepdims: 0 }), [4])
      net.output('y', net.linear('head', mean, 5))
    },
    ['a 6', 'b 4', head],
  ],
  'speed-up: a transposed convolution between convolutions': [
    (net, x) => {
      const a = net.relu(net.conv('a', x, 6, { stride: 2 }))
      net.classify(net.conv('c', net.batchNorm(net.upConv('b', a, 8)), 5))
    },
    ['a 6', 'b 8', 'c 5', head],
  ],
  'speed-up: a transposed convolution in groups': [
    (net, x) => net.classify(net.conv('c', net.upConv('b', net.conv('a', x, 8), 6, 2), 5)),
    ['a 4', 'b 3', 'c 5', head],
  ],
  'automatic convolutions: strides, kernels and groups at random': [
    (net, x) => {
      const a = net.block('a', x, 8, { kernel: 5, stride: 2 })
      const b = net.block('b', a, 8, { kernel: 1, group: 2 })
      const c = net.block('c', b, 12, { group: 4 })
      net.classify(net.block('d', net.conv('e', c, 6, { kernel: 1, bias: false }), 6, { group: 6 }))
    },
    ['a 4', 'b 2', 'c 3', 'e + d 6', head],
  ],
}

describe("NNI's topologies", () => {
  it.each(Object.entries(topologies))('%s', (_, topology) => expectTopology(topology))
})
