// The topologies of Torch-Pruning's tests (github.com/VainF/Torch-Pruning, tests/), as small graphs of our own.
import { describe, it } from '@jest/globals'
import { expectTopology, head, type Topology } from './topology.ts'

const topologies: Readonly<Record<string, Topology>> = {
  concat: [
    (net, x) => {
      const a = net.relu(net.conv('a', x, 8))
      const [b, c] = [net.conv('b', a, 6), net.conv('c', a, 4)]
      net.classify(net.conv('d', net.batchNorm(net.concat([b, c, a])), 7))
    },
    ['a 8', 'b 6', 'c 4', 'd 7', head],
  ],
  'concat, then split where it was joined': [
    (net, x) => {
      const joined = net.batchNorm(net.concat([net.conv('a', x, 8), net.conv('b', x, 6)]))
      const [first, second] = net.split(joined, [8, 6])
      net.classify(net.add(net.conv('c', first!, 5), net.conv('d', net.relu(second!), 5)))
    },
    ['a 8', 'b 6', 'c + d 5', head],
  ],
  'concat, then split elsewhere': [
    (net, x) => {
      const joined = net.relu(net.concat([net.conv('a', x, 8), net.conv('b', x, 6)]))
      const [first, second] = net.split(joined, [4, 10])
      net.classify(net.concat([net.conv('c', first!, 5), net.conv('d', second!, 6)]))
    },
    ['a 4', 'a 4', 'b 6', 'c 5', 'd 6', head],
  ],
  'concat of concats': [
    (net, x) => {
      const a = net.conv('a', x, 4)
      const first = net.concat([a, net.relu(net.conv('b', a, 5))])
      const second = net.concat([first, net.conv('c', first, 6)])
      const third = net.concat([net.conv('d', second, 3), second, first])
      net.classify(net.batchNorm(third))
    },
    ['a 4', 'b 5', 'c 6', 'd 3', head],
  ],
  'concat of places': [
    (net, x) => {
      const a = net.conv('a', x, 8)
      const both = net.concat([a, net.relu(net.conv('b', x, 8))], 2)
      net.classify(net.conv('c', both, 6))
    },
    ['a + b 8', 'c 6', head],
  ],
  'split in halves': [
    (net, x) => {
      const [first, second] = net.split(net.batchNorm(net.conv('a', x, 12)), [6, 6])
      const b = net.conv('b', net.relu(first!), 5)
      net.classify(net.add(b, net.conv('c', second!, 5)))
    },
    ['a 6', 'a 6', 'b + c 5', head],
  ],
  'split whose parts gate each other': [
    (net, x) => {
      const [first, second] = net.split(net.conv('a', x, 12), [6, 6])
      net.classify(net.conv('b', net.mul(first!, net.sigmoid(second!)), 7))
    },
    ['a 6', 'b 7', head],
  ],
  'reshape to rows': [
    (net, x) => {
      const a = net.relu(net.conv('a', x, 6, { stride: 2 }))
      const b = net.relu(net.linear('b', net.reshape(a, [96]), 10))
      net.output('y', net.linear('head', b, 5))
    },
    ['a 6', 'b 10', head],
  ],
  'reshape to places': [
    (net, x) => {
      const rows = net.transpose(net.reshape(net.conv('a', x, 6), [6, 64]), [1, 0])
      const b = net.relu(net.dense('b', rows, 7))
      const back = net.reshape(net.transpose(b, [1, 0]), [7, 8, 8])
      net.classify(net.conv('c', back, 4))
    },
    ['a 6', 'b 7', 'c 4', head],
  ],
  'fully connected layers': [
    (net, x) => {
      const a = net.relu(net.linear('a', net.flatten(x), 16))
      const b = net.relu(net.batchNorm(net.linear('b', a, 12)))
      net.output('y', net.linear('head', b, 5))
    },
    ['a 16', 'b 12', head],
  ],
  LeNet: [
    (net, x) => {
      const a = net.maxPool(net.relu(net.conv('a', x, 6, { kernel: 5 })))
      const b = net.maxPool(net.relu(net.conv('b', a, 8, { kernel: 5 })))
      const c = net.relu(net.linear('c', net.flatten(b), 20))
      net.output('y', net.linear('head', net.relu(net.linear('d', c, 14)), 5))
    },
    ['a 6', 'b 8', 'c 20', 'd 14', head],
  ],
  'several inputs and outputs': [
    (net, x) => {
      const other = net.input('other', [7])
      const [a, b] = [net.linear('a', net.flatten(x), 10), net.linear('b', other, 10)]
      const sum = net.relu(net.add(a, b))
      net.output('y', net.linear('head', sum, 5))
      net.output('z', net.linear('tail', net.linear('c', b, 6), 4))
    },
    ['a + b 10', head, 'c 6', "tail 4: output 'z' of the model keeps its shape"],
  ],
  'a single channel': [
    (net, x) => {
      const mask = net.sigmoid(net.conv('mask', net.conv('a', x, 6), 1))
      const b = net.conv('b', x, 4)
      net.classify(net.of(net.g.Mul(b.value, mask.value), b.shape))
    },
    ['a 6', 'mask 1: it is a single channel', 'b 4', head],
  ],
  'a layer of its own: channels centred, scaled and shifted': [
    (net, x) => {
      const a = net.transpose(net.conv('a', x, 6), [1, 2, 0])
      const mean = net.g.ReduceMean(a.value, [-1])
      const own = net.g.Mul(net.g.Sub(a.value, mean), net.noise([6]))
      const shifted = net.of(net.g.Add(own, net.noise([6])), a.shape)
      net.output('y', net.dense('head', shifted, 5, false))
    },
    ['a 6', head],
  ],
  'parameters that nothing uses': [
    (net, x) => {
      const a = net.conv('a', x, 6)
      net.conv('unused', a, 9)
      net.g.constant(net.noise([6, 6]), 'nobody')
      net.classify(net.relu(a))
    },
    ['a 6', head],
  ],
  'parameters that are no layer': [
    (net, x) => {
      const a = net.conv('a', x, 6)
      const shifted = net.of(net.g.Add(a.value, net.noise([1, 6, 1, 1])), a.shape)
      const scaled = net.of(net.g.Mul(net.noise([6, 1, 1]), shifted.value), a.shape)
      const token = net.g.Expand(net.noise([1, 6, 1, 8]), [1, 6, 1, 8])
      const longer = net.of(net.g.Concat(scaled.value, token, { axis: 2 }), [6, 9, 8])
      net.classify(net.conv('b', longer, 5))
    },
    ['a 6', 'b 5', head],
  ],
  'a sum of many layers': [
    (net, x) => {
      let y = net.block('stem', x, 8)
      for (const name of ['a', 'b', 'c'])
        y = net.relu(
          net.add(net.batchNorm(net.conv(`${name}2`, net.block(`${name}1`, y, 6), 8)), y),
        )
      net.classify(y)
    },
    ['stem + a2 + b2 + c2 8', 'a1 6', 'b1 6', 'c1 6', head],
  ],
  'an inverted residual with squeeze and excitation': [
    (net, x) => {
      const stem = net.block('stem', x, 6)
      const wide = net.block('expand', stem, 12, { kernel: 1 })
      const deep = net.block('depthwise', wide, 12, { group: 12 })
      const mean = net.of(net.g.GlobalAveragePool(deep.value), [12, 1, 1])
      const squeezed = net.relu(net.conv('squeeze', mean, 4, { kernel: 1 }))
      const gate = net.sigmoid(net.conv('excite', squeezed, 12, { kernel: 1 }))
      const gated = net.mul(deep, gate)
      net.classify(net.add(net.batchNorm(net.conv('project', gated, 6, { kernel: 1 })), stem))
    },
    ['stem + project 6', 'expand + depthwise + excite 12', 'squeeze 4', head],
  ],
  attention: [
    (net, x) => {
      const rows = net.transpose(
        net.reshape(net.conv('patches', x, 8, { stride: 2 }), [8, 16]),
        [1, 0],
      )
      const inner = net.layerNorm(rows)
      const heads = (name: string) =>
        net.transpose(net.reshape(net.dense(name, inner, 12), [16, 3, 4]), [1, 0, 2])
      const [q, k, v] = [heads('q'), heads('k'), heads('v')]
      const scores = net.g.Mul(net.g.MatMul(q.value, net.transpose(k, [0, 2, 1]).value), 0.5)
      const mixed = net.of(net.g.MatMul(net.g.Softmax(scores, { axis: -1 }), v.value), [3, 16, 4])
      const joined = net.reshape(net.transpose(mixed, [1, 0, 2]), [16, 12])
      const sum = net.add(rows, net.dense('o', joined, 8))
      const mean = net.of(net.g.ReduceMean(sum.value, [1], { keepdims: 0 }), [8])
      net.output('y', net.linear('head', mean, 5))
    },
    ['patches + o 8', 'q + k + v 3', head],
  ],
}

describe("Torch-Pruning's topologies", () => {
  it.each(Object.entries(topologies))('%s', (_, topology) => expectTopology(topology))
})
