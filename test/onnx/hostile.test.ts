import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { GraphProto, ModelProto } from '../../onnx/proto.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'
import { modelBytes, node, vector } from './bytes.ts'
import { expectFlipsEnd, load, names } from './damaged.ts'

describe('damaged files', () => {
  itWithShared.each(names)('%s cut anywhere loads or ends with one line', (name) => {
    const bytes = readFileSync(sharedModel(`${name}.onnx`))
    const { integer } = random(7, name)
    const cuts = [0, 1, 2, 3, ...Array.from({ length: 60 }, () => integer(bytes.length))]
    const messages = cuts.map((cut) => load(bytes.subarray(0, cut)))
    // A cut between two fields of the model may leave a valid one.
    expect(messages.filter(Boolean).length).toBeGreaterThan(cuts.length - 3)
  })

  // A few of those of the slow tests.
  itWithShared.each(names)('%s with flipped bytes loads or ends with one line', (name) =>
    expectFlipsEnd(name, 30),
  )

  it('of random bytes end with one line', () => {
    const { integer } = random(9)
    for (let round = 0; round < 500; round++)
      expect(load(Uint8Array.from({ length: 1 + integer(300) }, () => integer(256)))).toBeDefined()
  })
})

describe('files that are something else', () => {
  it.each([
    ['nothing', ''],
    ['text', 'hello, this is not a model\n'],
    ['a web page', '<!DOCTYPE html><html><body>404</body></html>'],
    [
      'a pointer to a file',
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n',
    ],
    ['JSON', '{"graph": {}}'],
    ['zeros', '\0'.repeat(100)],
    ['an archive', 'PK\u0003\u0004\u0014\0\0\0\b\0'],
  ])('%s', (_, text) => {
    expect(load(Buffer.from(text))).toMatch(/m\.onnx: not an ONNX file: /)
  })
})

describe('files that are models, but wrong', () => {
  const relu: Partial<GraphProto> = {
    input: [vector('x')],
    node: [node('Relu', ['x'], ['y'])],
    output: [vector('y')],
  }
  const opsetImport = [{ domain: '', version: 21 }]
  const tensor = (rest: object) => ({ ...relu, initializer: [{ name: 'w', dataType: 1, ...rest }] })

  it.each<[string, Partial<GraphProto>, RegExp]>([
    [
      'an input that nothing makes',
      { ...relu, node: [node('Add', ['x', 'h'], ['y'])] },
      /node 'y' \('Add'\) uses 'h', which nothing makes/,
    ],
    [
      'an output that nothing makes',
      { ...relu, output: [vector('z')] },
      /graph output 'z' is made by nothing/,
    ],
    [
      'two nodes that make one value',
      { ...relu, node: [...relu.node!, ...relu.node!] },
      /'y' is defined twice/,
    ],
    [
      'a node that makes an input',
      { ...relu, node: [node('Relu', ['x'], ['x'])] },
      /'x' is defined twice/,
    ],
    ['an input twice', { ...relu, input: [vector('x'), vector('x')] }, /'x' is defined twice/],
    ['an input without a name', { ...relu, input: [vector('x'), vector('')] }, /has no name/],
    [
      'a circle',
      {
        ...relu,
        node: [
          node('Add', ['x', 'b'], ['a']),
          node('Relu', ['a'], ['b']),
          node('Relu', ['b'], ['y']),
        ],
      },
      /needs its own output/,
    ],
    [
      'a node that feeds itself',
      { ...relu, node: [node('Add', ['x', 'y'], ['y'])] },
      /node 'y' needs its own output/,
    ],
    [
      'an attribute twice',
      {
        ...relu,
        node: [
          {
            ...relu.node![0],
            attribute: [
              { name: 'a', type: 2 },
              { name: 'a', type: 2 },
            ],
          },
        ],
      },
      /attribute 'a' twice/,
    ],
    [
      'an attribute without content',
      { ...relu, node: [{ ...relu.node![0], attribute: [{ name: 'a', type: 5 }] }] },
      /attribute 'a' is an empty graph/,
    ],
    ['an unknown element type', tensor({ dims: [1], dataType: 99 }), /unknown element type 99/],
    ['a negative dimension', tensor({ dims: [-1] }), /negative dimension: \[-1\]/],
    ['an absurd shape', tensor({ dims: [2 ** 40, 2 ** 40] }), /absurd shape/],
    ['an absurd shape with a zero', tensor({ dims: [0, 2 ** 40, 2 ** 40] }), /absurd shape/],
    [
      'fewer bytes than elements',
      tensor({ dims: [3], rawData: new Uint8Array(8) }),
      /'w' has 8 bytes, but float32 \[3\] needs 12/,
    ],
    ['more elements than bytes', tensor({ dims: [2 ** 33] }), /has 0 bytes, but float32/],
    [
      'a huge integer tensor without bytes',
      tensor({ dims: [2 ** 40], dataType: 7 }),
      /needs 8796093022208/,
    ],
    [
      'a huge sparse tensor',
      {
        ...relu,
        sparseInitializer: [
          {
            dims: [2 ** 40],
            values: { name: 's', dims: [0], dataType: 1 },
            indices: { dims: [0], dataType: 7 },
          } as never,
        ],
      },
      /cannot be made dense/,
    ],
    ['a segment', tensor({ dims: [1], segment: Uint8Array.of(8, 1) }), /a segment/],
    ['names with line breaks', { ...relu, output: [vector('a\nb\u001b[31m')] }, /'a\?b\?\[31m'/],
    ['names without end', { ...relu, output: [vector('n'.repeat(10_000))] }, /'n{77}\.\.\.'/],
  ])('%s', (_, graph, message) => {
    expect(load(modelBytes(graph, { irVersion: 10, opsetImport }))).toMatch(message)
  })

  it.each<[string, Partial<ModelProto>, RegExp]>([
    ['without an operator set', { opsetImport: [] }, /says no operator set/],
    ['without an IR version', { irVersion: 0 }, /says no IR version/],
  ])('%s', (_, rest, message) => {
    expect(load(modelBytes(relu, { irVersion: 10, opsetImport, ...rest }))).toMatch(message)
  })

  it('without a graph', () => {
    expect(load(Uint8Array.of(8, 10))).toMatch(/not an ONNX file: there is no graph in it/)
  })

  it('subgraphs in subgraphs without end', () => {
    let graph: Partial<GraphProto> = { output: [] }
    for (let depth = 0; depth < 30; depth++)
      graph = { node: [{ ...node('If', [], []), attribute: [{ name: 'g', type: 5, g: graph }] }] }
    expect(load(modelBytes(graph))).toBeUndefined()
    // What no encoder of ours writes: 5,000 graphs in graphs, as lengths in front of lengths.
    let bytes: Uint8Array = new Uint8Array()
    const field = (tag: number, content: Uint8Array) => {
      const length = [
        (content.length & 127) | 128,
        ((content.length >> 7) & 127) | 128,
        content.length >> 14,
      ]
      return Buffer.concat([Uint8Array.of(tag, ...length), content])
    }
    for (let depth = 0; depth < 5000; depth++) bytes = field(0x0a, field(0x2a, field(0x32, bytes)))
    const model = Buffer.concat([Uint8Array.of(8, 10), field(0x3a, bytes)])
    expect(load(model)).toMatch(/cut short or damaged: max depth exceeded/)
  })

  it('long chains of nodes in the wrong order are sorted without recursion', () => {
    const chain = Array.from({ length: 20_000 }, (_, index) =>
      node('Relu', [index === 0 ? 'x' : `v${index}`], [index === 19_999 ? 'y' : `v${index + 1}`]),
    )
    expect(load(modelBytes({ ...relu, node: chain.reverse() }))).toBeUndefined()
  })
})
