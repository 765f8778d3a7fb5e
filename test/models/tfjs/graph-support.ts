// Graph models written by hand: GraphDef nodes as the converter of TensorFlow.js writes them.

import { expect } from '@jest/globals'
import type { NamedTensorMap } from '@tensorflow/tfjs'
import { convertTfjs } from '../../../models/tfjs/convert.ts'
import type { Model } from '../../../onnx/graph.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { expectClose, handlerOf, normals, runOnnx, sample, tf, writeModel } from './support.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

/** Attributes as JSON has them. */
export const attr = {
  s: (text: string) => ({ s: base64(text) }),
  i: (number: number) => ({ i: String(number) }),
  f: (number: number) => ({ f: number }),
  b: (flag: boolean) => ({ b: flag }),
  ints: (numbers: readonly number[]) => ({ list: { i: numbers.map(String) } }),
  texts: (texts: readonly string[]) => ({ list: { s: texts.map(base64) } }),
  type: (type: string) => ({ type }),
  shape: (dims: readonly number[]) => ({
    shape: { dim: dims.map((size) => ({ size: String(size) })) },
  }),
}

/** A node of a GraphDef. */
export interface NodeDef {
  readonly name: string
  readonly op: string
  readonly input?: readonly string[]
  readonly attr?: Readonly<Record<string, object>> | undefined
}

/** A constant of a graph. */
export interface Constant {
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int32' | 'bool'
  readonly values: readonly number[]
}

/** Whole numbers, as axes and shapes are. */
export const ints = (values: readonly number[] | number): Constant => ({
  shape: typeof values === 'number' ? [] : [values.length],
  dtype: 'int32',
  values: [values].flat(),
})

/** Seeded float32 weights. */
export const floats = (shape: readonly number[], seed = 'weights'): Constant => ({
  shape,
  dtype: 'float32',
  values: Array.from(normals(sizeOf(shape), seed), (value) => Math.fround(value * 0.5)),
})

/** A graph to be written: placeholders and constants by name, then nodes. */
export interface GraphFixture {
  readonly inputs: Readonly<
    Record<
      string,
      { readonly shape: readonly number[]; readonly dtype?: 'float32' | 'int32' | 'bool' }
    >
  >
  readonly constants?: Readonly<Record<string, Constant>>
  readonly nodes: readonly NodeDef[]
  /** Names of outputs and what they are; the last nodes unless given. */
  readonly outputs?: Readonly<Record<string, string>>
}

const bytesOf = ({ dtype, values }: Constant): Uint8Array => {
  const array =
    dtype === 'float32'
      ? Float32Array.from(values)
      : dtype === 'int32'
        ? Int32Array.from(values)
        : Uint8Array.from(values)
  return new Uint8Array(array.buffer)
}

const typeNames = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' } as const

/** What stands in the model.json of a fixture. */
export function contentOf({ inputs, constants = {}, nodes, outputs }: GraphFixture) {
  const placeholders = Object.entries(inputs).map(([name, { shape, dtype = 'float32' }]) => ({
    name,
    op: 'Placeholder',
    attr: { dtype: attr.type(typeNames[dtype]), shape: attr.shape(shape) },
  }))
  const consts = Object.entries(constants).map(([name, { dtype, shape }]) => ({
    name,
    op: 'Const',
    attr: {
      dtype: attr.type(typeNames[dtype]),
      value: { tensor: { dtype: typeNames[dtype], tensorShape: attr.shape(shape).shape } },
    },
  }))
  const entries = Object.entries(constants).map(([name, constant]) => ({
    entry: { name, shape: constant.shape, dtype: constant.dtype },
    bytes: bytesOf(constant),
  }))
  const signature = outputs && {
    inputs: Object.fromEntries(Object.keys(inputs).map((name) => [name, { name: `${name}:0` }])),
    outputs: Object.fromEntries(Object.entries(outputs).map(([key, name]) => [key, { name }])),
  }
  return {
    topology: { node: [...placeholders, ...consts, ...nodes], versions: {} },
    entries,
    more: { format: 'graph-model', ...(signature && { signature }) },
  }
}

/** Writes a fixture to a folder; gives the path of its model.json. */
export function saveGraph(fixture: GraphFixture): string {
  const { topology, entries, more } = contentOf(fixture)
  return writeModel(topology, entries, more)
}

/** Converts a fixture, runs both sides and expects the same outputs. Gives the converted model. */
export async function expectSameGraph(fixture: GraphFixture, batch = 2): Promise<Model> {
  const converted = await convertTfjs(saveGraph(fixture))
  const model = await tf.loadGraphModel(handlerOf(contentOf(fixture)))
  const feeds = Object.entries(fixture.inputs).map(([name, { shape, dtype = 'float32' }]) => ({
    name,
    ...sample(name, dtype, shape, batch),
  }))
  const byName: NamedTensorMap = Object.fromEntries(feeds.map(({ name, tfjs }) => [name, tfjs]))
  const expected = [model.execute(byName)].flat() as ReturnType<typeof tf.tensor>[]
  const results = await runOnnx(
    converted,
    Object.fromEntries(feeds.map(({ name, onnx }) => [name, onnx])),
  )
  expect(converted.graph.inputs.map(({ name }) => name)).toEqual(Object.keys(fixture.inputs))
  const names = converted.graph.outputs.map(({ name }) => name)
  if (fixture.outputs) expect(names).toEqual(Object.keys(fixture.outputs))
  expect(expected.length).toBe(names.length)
  for (const [index, tensor] of expected.entries()) expectClose(results[names[index]!], tensor)
  return converted
}
