import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { InferenceSession } from 'onnxruntime-node'
import { allNodes, type Model } from '../../onnx/graph.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import {
  decodeModel,
  type GraphProto,
  int64Of,
  type ModelProto,
  numberOf,
  type TensorProto,
} from '../../onnx/proto.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { byteLengthOf, type DataType, dataTypes, elements, tensorOf } from '../../onnx/tensor.ts'
import { temporaryFolder } from '../support/folder.ts'
import { modelBytes, node, varints, vector } from './bytes.ts'

const again = (model: Model): Model => parseModel(serializeModel(model))
const initializers = (model: Model) =>
  new Map([...model.graph.initializers].map((value) => [value.name, value.tensor!]))
const withInitializers = (...initializer: Partial<TensorProto>[]) =>
  parseModel(modelBytes({ initializer, output: initializer.map(({ name }) => ({ name: name! })) }))

describe('element types', () => {
  const dtypes = Object.keys(dataTypes) as DataType[]

  it.each(dtypes.filter((dtype) => dtype !== 'string'))(
    '%s stays as it is as raw data',
    (dtype) => {
      const rawData = Uint8Array.from(
        { length: byteLengthOf(dtype, [3, 5]) },
        (_, i) => i * 37 + 11,
      )
      const dataType = dataTypes[dtype].code
      const model = again(withInitializers({ name: 'w', dims: [3, 5], dataType, rawData }))
      const tensor = initializers(model).get('w')
      expect([tensor?.dtype, tensor?.dims]).toEqual([dtype, [3, 5]])
      expect(Buffer.compare(tensor!.bytes, rawData)).toBe(0)
    },
  )

  const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
  const doubles = (...values: number[]) => new Uint8Array(Float64Array.from(values).buffer)
  it.each<[DataType, number[], Partial<TensorProto>, number[] | Uint8Array]>([
    ['float32', [2], { floatData: [floats(1.5, -2)] }, floats(1.5, -2)],
    ['complex64', [1], { floatData: [floats(1.5, -2)] }, floats(1.5, -2)],
    ['float64', [2], { doubleData: [doubles(1.5, -2)] }, doubles(1.5, -2)],
    ['complex128', [1], { doubleData: [doubles(1.5, -2)] }, doubles(1.5, -2)],
    ['int8', [3], { int32Data: [varints(-1, 127, -128)] }, [255, 127, 128]],
    ['uint8', [2], { int32Data: [varints(255, 1)] }, [255, 1]],
    ['bool', [2], { int32Data: [varints(1, 0)] }, [1, 0]],
    ['int16', [2], { int32Data: [varints(-2, 258)] }, [254, 255, 2, 1]],
    ['uint16', [1], { int32Data: [varints(65534)] }, [254, 255]],
    ['float16', [1], { int32Data: [varints(0x3c00)] }, [0, 0x3c]],
    ['bfloat16', [1], { int32Data: [varints(0x3f80)] }, [0x80, 0x3f]],
    ['float8e4m3fn', [1], { int32Data: [varints(0x81)] }, [0x81]],
    ['float8e8m0', [1], { int32Data: [varints(0x7f)] }, [0x7f]],
    ['int4', [3], { int32Data: [varints(0xf1, 0x07)] }, [0xf1, 0x07]],
    ['uint4', [2], { int32Data: [varints(0x9a)] }, [0x9a]],
    ['float4e2m1', [2], { int32Data: [varints(0x9a)] }, [0x9a]],
    ['int2', [5], { int32Data: [varints(0xe4, 0x03)] }, [0xe4, 0x03]],
    ['uint2', [4], { int32Data: [varints(0xe4)] }, [0xe4]],
    [
      'int32',
      [2],
      { int32Data: [varints(-(2 ** 31), 2 ** 31 - 1)] },
      [0, 0, 0, 128, 255, 255, 255, 127],
    ],
    ['int32', [2], { int32Data: [varints(1), varints(2)] }, [1, 0, 0, 0, 2, 0, 0, 0]],
    ['int64', [1], { int64Data: [varints(-(2n ** 63n) + 5n)] }, [5, 0, 0, 0, 0, 0, 0, 128]],
    ['int64', [1], { int64Data: [varints(2n ** 62n + 2n ** 33n + 7n)] }, [7, 0, 0, 0, 2, 0, 0, 64]],
    ['uint32', [1], { uint64Data: [varints(2 ** 32 - 1)] }, [255, 255, 255, 255]],
    ['uint64', [1], { uint64Data: [varints(2n ** 64n - 1n)] }, Array(8).fill(255)],
    ['float32', [0], {}, []],
  ])('%s %j is read from its typed field', (dtype, dims, content, bytes) => {
    const model = withInitializers({ name: 'w', dims, dataType: dataTypes[dtype].code, ...content })
    expect([...initializers(model).get('w')!.bytes]).toEqual([...bytes])
    expect([...initializers(again(model)).get('w')!.bytes]).toEqual([...bytes])
  })

  it('reads elements that are not packed, as protobuf allows', () => {
    const unpacked = [Uint8Array.of(0x38, 3), Uint8Array.of(0x38, 0x80, 1)]
    const model = withInitializers({ name: 'w', dims: [2], dataType: 7, $unknowns: unpacked })
    expect([...elements(initializers(model).get('w')!, 'int64')]).toEqual([3n, 128n])
    const [tensor] = decodeModel(serializeModel(model)).graph!.initializer!
    expect(tensor!.$unknowns).toBeUndefined()
  })

  it('keeps strings as the bytes they are', () => {
    const stringData = [Uint8Array.of(0xff, 0x00), new TextEncoder().encode('é'), new Uint8Array()]
    const model = again(withInitializers({ name: 's', dims: [3], dataType: 8, stringData }))
    expect(
      initializers(model)
        .get('s')!
        .strings!.map((bytes) => [...bytes]),
    ).toEqual(stringData.map((bytes) => [...bytes]))
  })

  it('refuses typed content that does not fit', () => {
    const load = (rest: Partial<TensorProto>) => () => withInitializers({ name: 'w', ...rest })
    expect(load({ dims: [3], dataType: 6, int32Data: [varints(1, 2)] })).toThrow(/needs 12/)
    expect(load({ dims: [1], dataType: 6, int32Data: [varints(1, 2)] })).toThrow(/needs 4/)
    expect(load({ dims: [1], dataType: 1, floatData: [floats(1, 2)] })).toThrow(/has 8 bytes/)
    expect(load({ dims: [2], dataType: 8, stringData: [] })).toThrow(/0 strings/)
  })
})

describe('sparse initializers', () => {
  const values = {
    name: 'w',
    dims: [2],
    dataType: 1,
    rawData: new Uint8Array(Float32Array.of(5, 7).buffer),
  }
  const sparse = (dims: number[], at: bigint[]) => ({
    values: values as unknown as TensorProto,
    indices: {
      dims,
      dataType: 7,
      rawData: new Uint8Array(BigInt64Array.from(at).buffer),
    } as unknown as TensorProto,
    dims: [2, 3],
  })
  const bytes = (dims: number[], at: bigint[]) =>
    modelBytes({
      input: [vector('x')],
      sparseInitializer: [sparse(dims, at)],
      node: [node('MatMul', ['x', 'w'], ['y'])],
      output: [vector('y', 3)],
    })

  it.each([
    ['linear', [2], [1n, 5n]],
    ['coordinates', [2, 2], [0n, 1n, 1n, 2n]],
  ])('are dense to those who look, and are saved sparse (%s indices)', async (_, dims, at) => {
    const model = parseModel(bytes(dims, at))
    expect([...elements(initializers(model).get('w')!, 'float32')]).toEqual([0, 5, 0, 0, 0, 7])
    model.graph.initializers.values().next().value!.name = 'renamed'
    const saved = serializeModel(model)
    const { graph } = decodeModel(saved)
    expect(graph?.initializer).toHaveLength(0)
    expect(graph?.sparseInitializer?.[0]?.values?.name).toBe('renamed')
    await InferenceSession.create(saved, { logSeverityLevel: 4 })
  })

  it.each([
    ['outside the shape', [2], [1n, 6n]],
    ['outside an axis', [2, 2], [0n, 3n, 1n, 2n]],
    ['negative', [2], [-1n, 2n]],
    ['of another number', [3], [0n, 1n, 2n]],
    ['twice', [2], [4n, 4n]],
    ['twice as coordinates', [2, 2], [1n, 1n, 1n, 1n]],
  ])('with indices %s are refused', (_, dims, at) => {
    expect(() => parseModel(bytes(dims, at))).toThrow(/ind(?:ices|ex)/)
  })
})

describe('what the graph has no place for', () => {
  // Field 200 is in no version of ONNX; the number behind the tag tells the copies apart.
  const unknown = (value: number) => ({ $unknowns: [Uint8Array.of(0xc0, 0x0c, value)] })
  const full = modelBytes(
    {
      name: 'g',
      docString: 'about the graph',
      input: [vector('x'), { ...vector('z'), ...unknown(1) }],
      initializer: [
        {
          name: 'w',
          dims: [2],
          dataType: 1,
          rawData: new Uint8Array(8),
          docString: 'w',
          ...unknown(2),
        },
      ],
      node: [
        {
          ...node('Foo', ['x', 'w', 'z'], ['y', 'unused']),
          name: 'foo',
          domain: 'mine',
          docString: 'a call',
          ...{ overload: 'o', metadataProps: [{ key: 'a', value: 'b', ...unknown(3) }] },
          attribute: [
            {
              name: 'large',
              type: 7,
              ints: [int64Of(2 ** 63), int64Of(-(2 ** 63))],
              docString: 'd',
            },
            { name: 'far', type: 2, i: int64Of(2 ** 63), ...unknown(4) },
            { name: 'blob', type: 3, s: Uint8Array.of(0xff, 0xfe) },
            { name: 'type', type: 13, ...{ tp: { sequenceType: { elemType: {} } } } },
            { name: 'tensors', type: 9, ...{ tensors: [{ name: 't', dims: [0], dataType: 1 }] } },
          ],
          ...unknown(5),
        },
      ],
      output: [vector('y')],
      valueInfo: [
        { name: 'unused', docString: 'inner', type: { ...vector('').type, denotation: 'IMAGE' } },
        { name: 'nowhere', docString: 'of no value' },
      ],
      quantizationAnnotation: [
        { tensorName: 'w', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 'w' }] },
      ],
      ...{ metadataProps: [{ key: 'k', value: 'v' }] },
      ...unknown(6),
    },
    {
      irVersion: 13,
      producerName: 'a test',
      docString: 'about the model',
      opsetImport: [
        { domain: '', version: 21 },
        { domain: 'mine', version: 1 },
      ],
      metadataProps: [{ key: 'one', value: '1' }],
      functions: [
        {
          name: 'Foo',
          domain: 'mine',
          input: ['a', 'b', 'c'],
          output: ['d', 'e'],
          attribute: ['alpha'],
          node: [
            {
              ...node('Relu', ['a'], ['d']),
              attribute: [{ name: 'x', refAttrName: 'alpha', type: 1 }],
            },
          ],
          opsetImport: [{ domain: '', version: 21 }],
          ...unknown(7),
        },
      ],
      trainingInfo: [{ initializationBinding: [{ key: 'a', value: 'b' }], ...unknown(8) }],
      ...unknown(9),
    },
  )

  it('is saved as it was', () => {
    const before = decodeModel(full)
    const after = decodeModel(serializeModel(parseModel(full)))
    expect(plain(after)).toEqual(plain(before))
    expect(JSON.stringify(plain(before)).match(/192,12,\d/g)).toHaveLength(9)
  })

  it('survives copies of attributes with a new value, but not their old value', () => {
    const model = parseModel(full)
    const [foo] = model.graph.nodes
    const large = foo!.attributes.get('large')!
    if (large.type !== 'ints') throw new Error('not ints')
    expect(large.value).toEqual([2 ** 63, -(2 ** 63)])
    foo!.attributes.set('large', { ...large, value: [1, 2] })
    foo!.attributes.set('far', { type: 'float', value: 0.5 })
    const saved = decodeModel(serializeModel(model)).graph!.node![0]!.attribute!
    expect(saved.find(({ name }) => name === 'large')).toMatchObject({ docString: 'd' })
    expect(saved.find(({ name }) => name === 'large')?.ints?.map(numberOf)).toEqual([1, 2])
    const far = saved.find(({ name }) => name === 'far')!
    expect([far.type, far.f, Object.hasOwn(far, 'i'), far.$unknowns]).toEqual([
      1,
      0.5,
      false,
      undefined,
    ])
  })

  it('reads an absent string, float and integer as protobuf means them', () => {
    const attribute = [1, 2, 3, 6, 7, 8].map((type) => ({ name: `a${type}`, type }))
    const foo = { ...node('Foo', ['x'], ['y']), attribute }
    const model = parseModel(
      modelBytes({ input: [vector('x')], node: [foo], output: [vector('y')] }),
    )
    const values = [...model.graph.nodes[0]!.attributes.values()].map(({ value }) => value)
    expect(values).toEqual([0, 0, '', [], [], []])
  })

  it('saturates new integers beyond int64', () => {
    const model = parseModel(full)
    model.graph.nodes[0]!.attributes.set('n', { type: 'ints', value: [2 ** 63, -1e30, 2 ** 53] })
    const saved = decodeModel(serializeModel(model)).graph!.node![0]!.attribute!
    expect(saved.find(({ name }) => name === 'n')?.ints?.map(String)).toEqual([
      '9223372036854775807',
      '-9223372036854775808',
      '9007199254740992',
    ])
  })

  it('writes the type that a value has now, and the denotation with the type of the file alone', () => {
    const model = parseModel(full)
    const unused = model.graph.nodes[0]!.output(1)
    const infoOf = () => decodeModel(serializeModel(model)).graph!.valueInfo![0]!
    expect(infoOf().type?.denotation).toBe('IMAGE')
    unused.type = { dtype: 'float16', shape: ['N', undefined, 3] }
    expect(infoOf().docString).toBe('inner')
    expect(infoOf().type?.denotation).toBe('')
    expect(parseModel(serializeModel(model)).graph.nodes[0]!.output(1).type).toEqual(unused.type)
  })

  it('forgets annotations of values that are gone', () => {
    const model = parseModel(full)
    const [w] = model.graph.initializers
    model.graph.nodes[0]!.setInput(
      1,
      model.graph.addInitializer('v', tensorOf('float32', [1], [1])),
    )
    model.graph.initializers.delete(w!)
    expect(decodeModel(serializeModel(model)).graph!.quantizationAnnotation).toHaveLength(0)
  })

  /** Messages as plain data; the order of initializers and attributes is theirs. */
  function plain(message: ModelProto): unknown {
    const visit = (field: unknown): unknown => {
      if (field instanceof Uint8Array) return [...field]
      if (Array.isArray(field)) return field.map(visit)
      if (typeof field !== 'object' || field === null) return field
      if ('toNumber' in field) return String(field)
      const { $unknowns } = field as { $unknowns?: unknown }
      const entries = Object.entries({ ...field, $unknowns })
      return Object.fromEntries(
        entries
          .filter(([, value]) => value !== undefined && value !== '')
          .map(([name, value]) => [name, visit(value)]),
      )
    }
    return visit(message)
  }
})

describe('subgraphs', () => {
  const branch = (constant: string, output: string): Partial<GraphProto> => ({
    name: output,
    initializer: [{ name: constant, dims: [], dataType: 1, rawData: new Uint8Array(4) }],
    node: [node('Add', ['h', constant], [output])],
    output: [{ name: output }],
  })
  const ifNode = {
    ...node('If', ['condition'], ['y']),
    attribute: [
      { name: 'then_branch', type: 5, g: branch('c', 'a') },
      { name: 'else_branch', type: 5, g: branch('c', 'b') },
    ],
  }
  const bytes = (nodes: GraphProto['node']) =>
    modelBytes({
      input: [
        {
          name: 'condition',
          type: { tensorType: { elemType: 9, shape: { dim: [] } }, denotation: '' },
        },
        vector('x'),
      ],
      node: nodes,
      output: [vector('y')],
    })

  it('use the values of the graph around them', async () => {
    const model = parseModel(bytes([node('Relu', ['x'], ['h']), ifNode]))
    const h = model.graph.nodes[0]!.output()
    expect([...h.users].map(({ opType }) => opType)).toEqual(['Add', 'Add'])
    expect([...allNodes(model.graph)]).toHaveLength(4)
    await InferenceSession.create(serializeModel(model), { logSeverityLevel: 4 })
  })

  it('may come before the node whose value they use: the graph is sorted', () => {
    const model = parseModel(bytes([ifNode, node('Relu', ['x'], ['h'])]))
    expect(model.graph.nodes.map(({ opType }) => opType)).toEqual(['Relu', 'If'])
  })

  it('cannot need what only they lead to', () => {
    expect(() => parseModel(bytes([ifNode, node('Relu', ['y'], ['h'])]))).toThrow(/own output/)
  })
})

describe('files', () => {
  const folder = temporaryFolder()

  it('are saved and loaded', async () => {
    const path = join(folder, 'model.onnx')
    const model = parseModel(
      modelBytes({
        input: [vector('x')],
        node: [node('Relu', ['x'], ['y'])],
        output: [vector('y')],
      }),
    )
    model.metadata.set('made by', 'a test')
    await saveModel(model, path)
    const loaded = await loadModel(path)
    expect(loaded.metadata).toEqual(model.metadata)
    expect(loaded.graph.nodes[0]!.opType).toBe('Relu')
  })

  it.each([
    ['missing.onnx', /missing.onnx: no such file or folder — check the path$/],
    ['', /: not a file — give the path of an .onnx file$/],
  ])('%j that cannot be read ends with one line', async (name, message) => {
    await expect(loadModel(join(folder, name))).rejects.toThrow(message)
  })

  it('that are devices are refused', async () => {
    await expect(loadModel('/dev/zero')).rejects.toThrow('/dev/zero: not a file')
  })

  it('that are empty are refused', async () => {
    writeFileSync(join(folder, 'empty.onnx'), '')
    await expect(loadModel(join(folder, 'empty.onnx'))).rejects.toThrow(
      /empty.onnx: not an ONNX file: the file is empty — /,
    )
  })

  it('are not written where two values share a name', () => {
    const model = parseModel(
      modelBytes({
        input: [vector('x')],
        node: [node('Relu', ['x'], ['y'])],
        output: [vector('y')],
      }),
    )
    model.graph.nodes[0]!.output().name = 'x'
    expect(() => serializeModel(model)).toThrow("internal: two values are called 'x'")
  })
})
