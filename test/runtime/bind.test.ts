// What each input of a model gets.
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import type { InputSource, SampleColumn } from '../../base/samples.ts'
import type { DataType } from '../../onnx/tensor.ts'
import { numbers } from '../../onnx/tensor.ts'
import { bindInputs, constantTensor, firstState, freeDims } from '../../runtime/bind.ts'
import type { ValueInfo } from '../../runtime/session.ts'

const input = (
  name: string,
  shape: ValueInfo['shape'] = ['N', 4],
  dtype: DataType = 'float32',
): ValueInfo => ({ name, dtype, shape })

const column = (
  name: string,
  shape: readonly number[] = [4],
  dtype: SampleColumn['dtype'] = 'float32',
): SampleColumn => ({ name, dtype, shape })

const bind = (
  inputs: readonly ValueInfo[],
  columns: readonly SampleColumn[],
  mapped?: Readonly<Record<string, InputSource>>,
) => bindInputs(inputs, { columns, inputs: mapped }, 'm.onnx')

/** The message of what is thrown, which must be for the user and one line. */
function complaint(run: () => unknown): string {
  try {
    run()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(UserError)
    const { message } = thrown as UserError
    expect(message).not.toContain('\n')
    expect(message).toMatch(/^m\.onnx: .+ — .+[^.]$/)
    return message
  }
  throw new Error('nothing was thrown')
}

describe('the column of an input', () => {
  it('is the one of its name, whatever the order', () => {
    const { columns } = bind([input('a'), input('b')], [column('b'), column('c'), column('a')])
    expect(columns.map(({ name, column }) => [name, column])).toEqual([
      ['a', 2],
      ['b', 0],
    ])
  })

  it('is the only one where one input and one column are left', () => {
    const { columns } = bind([input('x'), input('b')], [column('b'), column('image')])
    expect(columns.map(({ name, column }) => [name, column])).toEqual([
      ['x', 1],
      ['b', 0],
    ])
  })

  it('is never by chance one that belongs to another (image.raw)', () => {
    const columns = [column('image'), column('image.raw', [2, 2, 1], 'uint8')]
    expect(bind([input('x')], columns).columns[0]!.column).toBe(0)
  })

  it('is the only one that ends so, where none has the name (text.attention_mask)', () => {
    const columns = [column('text'), column('text.attention_mask', [4], 'int32')]
    const inputs = [input('ids'), input('attention_mask', ['N', 4], 'int64')]
    expect(bind(inputs, columns).columns.map(({ column }) => column)).toEqual([0, 1])
    const two = [...columns, column('other'), column('other.attention_mask', [4], 'int32')]
    const mapped = { ids: { column: 'text' } }
    expect(complaint(() => bind(inputs, two, mapped))).toContain("input 'attention_mask'")
  })

  it('is what the mapping says, before names', () => {
    const { columns } = bind([input('a')], [column('a'), column('b')], { a: { column: 'b' } })
    expect(columns[0]!.column).toBe(1)
  })

  it('can serve two inputs', () => {
    const { columns } = bind([input('a'), input('b')], [column('x')], {
      a: { column: 'x' },
      b: { column: 'x' },
    })
    expect(columns.map(({ column }) => column)).toEqual([0, 0])
  })

  it('is a name that objects have by themselves only if the data has it', () => {
    const message = complaint(() => bind([input('constructor'), input('b')], [column('b')]))
    expect(message).toContain("'constructor'")
  })

  it('is missing: the message says what to write', () => {
    const message = complaint(() => bind([input('a'), input('b')], [column('x'), column('y')]))
    expect(message).toContain("input 'a'")
    expect(message).toContain("'x', 'y'")
    expect(message).toContain('inputs: { a: { column: x } }')
  })

  it('is misspelt: the message knows the right one', () => {
    const message = complaint(() => bind([input('a')], [column('text')], { a: { column: 'txet' } }))
    expect(message).toContain("'txet'")
    expect(message).toContain('text')
  })
})

describe('the type of an input', () => {
  const types: readonly DataType[] = [
    ...(['float32', 'float64', 'float16', 'int64', 'int32', 'int16', 'int8'] as const),
    ...(['uint8', 'uint16', 'uint32', 'bool', 'uint64'] as const),
  ]
  it.each([
    ['float32', ['float32', 'float64', 'float16']],
    ['int32', ['float32', 'int64', 'int32', 'int16', 'int8', 'uint8', 'uint16', 'uint32', 'bool']],
    ['uint8', ['float32', 'int64', 'int32', 'uint8']],
  ] as const)('of a %s column can be %p', (dtype, fitting) => {
    for (const type of types) {
      const run = () => bind([input('x', ['N', 4], type)], [column('x', [4], dtype)])
      if ((fitting as readonly string[]).includes(type)) expect(run().columns[0]!.dtype).toBe(type)
      else expect(complaint(run)).toContain(`is ${type}, column 'x' of the data is ${dtype}`)
    }
  })

  it('uint8 takes the bytes of an image before any preprocessing', () => {
    const columns = [column('image', [1, 2, 2]), column('image.raw', [2, 2, 1], 'uint8')]
    const { columns: bound } = bind([input('x', ['N', 2, 2, 1], 'uint8')], columns)
    expect(bound[0]).toEqual({ name: 'x', dtype: 'uint8', column: 1, shape: [2, 2, 1] })
    const planes = [...columns, column('image.planes', [1, 2, 2], 'uint8')]
    const { columns: other } = bind([input('x', ['N', 1, 2, 2], 'uint8')], planes)
    expect(other[0]).toMatchObject({ column: 2, shape: [1, 2, 2] })
  })
})

describe('the shape of a sample', () => {
  it.each([
    [['N', 4], [4], [4]],
    [['N', undefined], [4], [4]],
    [['N', 4, 1], [4], [4, 1]],
    [['N', 4], [1, 4], [4]],
    [
      [undefined, 'C', 'H', 'W'],
      [3, 2, 2],
      [3, 2, 2],
    ],
    [['N'], [1], []],
  ] as const)('%p takes %p as %p', (shape, sample, fitted) => {
    expect(bind([input('x', shape)], [column('x', sample)]).columns[0]!.shape).toEqual(fitted)
  })

  it.each([
    [['N', 5], [4]],
    [['N', 2, 2], [4]],
    [['N', 4, 'T'], [4]],
    [
      ['N', 2, 3],
      [3, 2],
    ],
  ] as const)('%p refuses %p', (shape, sample) => {
    const message = complaint(() => bind([input('x', shape)], [column('x', sample)]))
    expect(message).toContain(`one sample is [${sample}]`)
  })

  it('tells the batch that a model demands', () => {
    expect(bind([input('x', [8, 4])], [column('x')]).fixedBatch).toBe(8)
    expect(bind([input('x')], [column('x')]).fixedBatch).toBeUndefined()
  })
})

describe('chunks', () => {
  const state: Readonly<Record<string, InputSource>> = {
    x: { column: 'x', chunk: 3 },
    s: { carry: 'sn' },
  }

  it('are runs a sample', () => {
    const bound = bind([input('x', ['N', 3]), input('s', [2, 'N', 5])], [column('x', [12])], state)
    expect(bound.steps).toBe(4)
    expect(bound.columns[0]!.shape).toEqual([3])
    expect(bound.carried.map(({ output }) => output)).toEqual(['sn'])
    expect(firstState(bound.carried[0]!, 7).dims).toEqual([2, 7, 5])
    expect(numbers(firstState(bound.carried[0]!, 1))).toEqual(new Array(10).fill(0))
  })

  it.each([
    ['must go up in the length', [10], {}, 'cannot be cut into pieces of 3'],
    ['are of one axis', [2, 12], {}, 'only columns with one axis'],
    ['must be as many for all inputs', [12], { s: { column: 'x', chunk: 6 } }, 'go together'],
    ['must be as many, one included', [12], { s: { column: 'x', chunk: 12 } }, 'go together'],
  ] as const)('%s', (_, shape, mapped, what) => {
    const inputs = [input('x', ['N', ...new Array(shape.length).fill('T')]), input('s', ['N', 'S'])]
    expect(complaint(() => bind(inputs, [column('x', shape)], { ...state, ...mapped }))).toContain(
      what,
    )
    const turned = Object.fromEntries(Object.entries({ ...state, ...mapped }).reverse())
    const reversed = [...inputs].reverse()
    expect(complaint(() => bind(reversed, [column('x', shape)], turned))).toContain(what)
  })
})

describe('constants', () => {
  const constant = (shape: ValueInfo['shape'], value: number | number[], dtype?: DataType) =>
    bind([input('x'), input('c', shape, dtype)], [column('x')], { c: { constant: value } })
      .constants[0]!

  it('fill the shape, whose free dimension is the batch', () => {
    const tensor = constantTensor(constant(['N', 2], 3), 4, 'm.onnx')
    expect(tensor.dims).toEqual([4, 2])
    expect(numbers(tensor)).toEqual(new Array(8).fill(3))
  })

  it('can be a scalar, and of whole numbers', () => {
    const tensor = constantTensor(constant([], 16000, 'int64'), 4, 'm.onnx')
    expect(tensor.dims).toEqual([])
    expect(numbers(tensor)).toEqual([16000])
  })

  it('can be given number by number, as many as there are', () => {
    expect(numbers(constantTensor(constant([3], [1, 2, 3]), 4, 'm.onnx'))).toEqual([1, 2, 3])
    const message = complaint(() => constantTensor(constant([3], [1, 2]), 4, 'm.onnx'))
    expect(message).toContain('inputs.c: [3] needs 3 numbers: 2')
  })
})

describe('free dimensions', () => {
  it('are known by symbol, or by input and axis, once the batch is', () => {
    const inputs = [
      input('x', ['N', 'T']),
      input('y', [undefined, undefined]),
      input('s', [2, 'N', 5]),
    ]
    const bound = bind(inputs, [column('x', [6]), column('y', [3])], { s: { carry: 'sn' } })
    expect(freeDims(inputs, bound, 8)).toEqual({ N: 8, T: 6, 'y:0': 8, 'y:1': 3 })
  })
})
