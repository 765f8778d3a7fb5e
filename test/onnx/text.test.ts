import { describe, expect, it } from '@jest/globals'
import { Graph, Node, Value } from '../../onnx/graph.ts'
import { Tensor, tensorOf } from '../../onnx/tensor.ts'
import { printGraph } from '../../onnx/text.ts'

describe('a printed graph', () => {
  it('shows types, short contents, attributes and nodes as calls', () => {
    const graph = new Graph('main')
    const x = graph.addInput('x', { dtype: 'float32', shape: ['N', 3, undefined] })
    const w = graph.addInitializer('w', tensorOf('float32', [3, 3], new Float32Array(9)))
    const b = graph.addInitializer('b', tensorOf('float32', [3], [1, 0.1, -1e-7]))
    const y = new Value('y')
    const conv = new Node('Conv', [x, w, b], [y], {
      attributes: [
        ['strides', { type: 'ints', value: [1, 1] }],
        ['auto_pad', { type: 'string', value: 'SAME_UPPER' }],
        ['alpha', { type: 'float', value: Math.fround(0.1) }],
      ],
    })
    const z = new Value('z', { type: { dtype: 'float32' } })
    const resize = new Node('Resize', [y, undefined, b], [z, undefined], { domain: 'com.example' })
    graph.add([conv, resize])
    graph.outputs.push(z, y)
    expect(printGraph(graph)).toMatchInlineSnapshot(`
"graph main
  input x: float32[N,3,?]
  initializer w: float32[3,3]
  initializer b: float32[3] = [1,0.1,-1e-7]
  y = Conv[alpha=0.1, auto_pad="SAME_UPPER", strides=[1,1]](x, w, b)
  z, _ = com.example.Resize(y, _, b)
  output z: float32
  output y: ?
"
`)
  })

  it('shows subgraphs below their node', () => {
    const graph = new Graph('main')
    const condition = graph.addInput('condition', { dtype: 'bool', shape: [] })
    const branch = (name: string) => {
      const inner = new Graph(name, graph)
      const value = new Value(`from_${name}`)
      inner.add(new Node('Not', [condition], [value]))
      inner.outputs.push(value)
      return inner
    }
    const y = new Value('y')
    const attributes = [
      ['then_branch', { type: 'graph', value: branch('then') }],
      ['else_branch', { type: 'graph', value: branch('else') }],
    ] as const
    graph.add(new Node('If', [condition], [y], { attributes }))
    graph.outputs.push(y)
    expect(printGraph(graph)).toMatchInlineSnapshot(`
"graph main
  input condition: bool[]
  y = If(condition)
    else_branch: graph else
      from_else = Not(condition)
      output from_else: ?
    then_branch: graph then
      from_then = Not(condition)
      output from_then: ?
  output y: ?
"
`)
  })

  it('shows elements of every kind', () => {
    const graph = new Graph('kinds')
    const text = (value: string) => new TextEncoder().encode(value)
    const strings = [text('a'), text('b"c')]
    graph.addInitializer('strings', new Tensor('string', [2], new Uint8Array(), { strings }))
    graph.addInitializer('half', new Tensor('float16', [2], Uint8Array.of(0, 0x3c, 0, 0xc0)))
    graph.addInitializer('nibbles', new Tensor('int4', [3], Uint8Array.of(0x21, 0x03)))
    graph.addInitializer('scalar', tensorOf('int64', [], [-5]))
    graph.addInitializer('truth', tensorOf('bool', [2], [1, 0]))
    graph.addInitializer('none', tensorOf('float32', [0], []))
    expect(printGraph(graph)).toMatchInlineSnapshot(`
"graph kinds
  initializer strings: string[2] = ["a","b\\"c"]
  initializer half: float16[2] = [00,3c,00,c0]
  initializer nibbles: int4[3] = [21,03]
  initializer scalar: int64[] = -5
  initializer truth: bool[2] = [1,0]
  initializer none: float32[0] = []
"
`)
  })

  it('puts names that could be mistaken into quotes', () => {
    const graph = new Graph('')
    for (const name of [
      'plain/with:all.of-it',
      'a b',
      'a,b',
      '_',
      '_a',
      'x=1',
      'line\nbreak',
      '\u001b[31m',
    ])
      graph.addInput(name, { dtype: 'float32' })
    expect(printGraph(graph)).toMatchInlineSnapshot(`
"graph ""
  input plain/with:all.of-it: float32
  input "a b": float32
  input "a,b": float32
  input "_": float32
  input _a: float32
  input "x=1": float32
  input "line\\nbreak": float32
  input "\\u001b[31m": float32
"
`)
  })
})
