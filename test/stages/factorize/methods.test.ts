import { describe, expect, it } from '@jest/globals'
import { prepareChannels } from '../../../channels/prepare.ts'
import { countMacs } from '../../../onnx/multiplications.ts'
import { countParameters } from '../../../onnx/parameters.ts'
import { type MethodName, methods } from '../../../stages/factorize/methods.ts'
import { unitsOf } from '../../../stages/factorize/units.ts'
import { answer, difference, forced, type LayerCase, layerModel } from './support.ts'

const image = ['N', 6, 9, 8] as const

/** Layers with every option that changes what a chain must look like. */
const linear: Readonly<Record<string, LayerCase>> = {
  MatMul: { opType: 'MatMul', data: ['N', 12], weight: [12, 8] },
  'MatMul of three axes': { opType: 'MatMul', data: ['N', 'T', 12], weight: [12, 18] },
  'MatMul from the left': { opType: 'MatMul', data: ['N', 12, 5], weight: [8, 12], left: true },
  Gemm: { opType: 'Gemm', data: ['N', 12], weight: [12, 8], bias: [8] },
  'Gemm without C': { opType: 'Gemm', data: ['N', 12], weight: [12, 8] },
  'Gemm with transB, alpha and beta': {
    ...{ opType: 'Gemm', data: ['N', 12], weight: [20, 12], bias: [1, 20] },
    attributes: { transB: 1, alpha: 0.5, beta: -2 },
  },
  'Gemm with transA': {
    ...{ opType: 'Gemm', data: ['N', 12], weight: [12, 8], bias: [8], transposed: true },
    attributes: { transA: 1 },
  },
  'Gemm from the left': {
    ...{
      opType: 'Gemm',
      data: ['N', 12],
      weight: [8, 12],
      bias: [8, 1],
      left: true,
      transposed: true,
    },
    attributes: { alpha: 2 },
  },
  'Gemm from the left, all transposed': {
    ...{ opType: 'Gemm', data: ['N', 12], weight: [12, 8], left: true },
    attributes: { transA: 1, transB: 1 },
  },
}

const convolutions: Readonly<Record<string, LayerCase>> = {
  Conv: { opType: 'Conv', data: image, weight: [5, 6, 3, 3] },
  'Conv with bias, pads and strides': {
    ...{ opType: 'Conv', data: image, weight: [5, 6, 3, 3], bias: [5] },
    attributes: { pads: [1, 2, 0, 1], strides: [2, 1] },
  },
  'Conv with dilations and an oblong kernel': {
    ...{ opType: 'Conv', data: image, weight: [7, 6, 2, 3] },
    attributes: { kernel_shape: [2, 3], dilations: [2, 3], pads: [0, 2, 1, 0] },
  },
  'Conv with SAME_UPPER': {
    ...{ opType: 'Conv', data: image, weight: [5, 6, 3, 4] },
    attributes: { auto_pad: 'SAME_UPPER', strides: [2, 3] },
  },
  'Conv with SAME_LOWER': {
    ...{ opType: 'Conv', data: image, weight: [5, 6, 2, 4] },
    attributes: { auto_pad: 'SAME_LOWER' },
  },
  'Conv with VALID': {
    ...{ opType: 'Conv', data: image, weight: [5, 6, 3, 3] },
    attributes: { auto_pad: 'VALID' },
  },
  'grouped Conv': {
    ...{ opType: 'Conv', data: image, weight: [8, 3, 3, 3], bias: [8] },
    attributes: { group: 2, pads: [1, 1, 1, 1] },
  },
  'depthwise Conv': {
    ...{ opType: 'Conv', data: image, weight: [6, 1, 3, 3] },
    attributes: { group: 6 },
  },
  'Conv of free size': { opType: 'Conv', data: ['N', 6, 'H', 'W'], weight: [5, 6, 2, 2] },
  'Conv over three axes': {
    ...{ opType: 'Conv', data: ['N', 3, 5, 6, 4], weight: [4, 3, 2, 3, 2] },
    attributes: { strides: [1, 2, 1], pads: [1, 0, 0, 0, 1, 1] },
  },
}

const oneAxis: Readonly<Record<string, LayerCase>> = {
  'Conv over one axis': {
    ...{ opType: 'Conv', data: ['N', 6, 9], weight: [5, 6, 3], bias: [5] },
    attributes: { strides: [2] },
  },
}

const positive = (cases: Readonly<Record<string, LayerCase>>) =>
  Object.fromEntries(
    Object.entries(cases).map(([name, made]) => [name, { ...made, positive: true as const }]),
  )

const right = Object.fromEntries(Object.entries(linear).filter(([, { left }]) => !left))

/** What each method is for. */
const suitable: Readonly<Record<MethodName, Readonly<Record<string, LayerCase>>>> = {
  svd: linear,
  'channel-svd': { ...convolutions, ...oneAxis },
  'spatial-svd': convolutions,
  'tucker-2': { ...convolutions, ...oneAxis },
  cp: { ...convolutions, ...oneAxis },
  'tensor-train': right,
  nmf: positive({ ...linear, ...convolutions, ...oneAxis }),
}

const rows = Object.entries(suitable).flatMap(([method, cases]) =>
  Object.entries(cases).map(([name, made]) => [method as MethodName, name, made] as const),
)

it('has cases for every method', () => {
  expect(Object.keys(suitable)).toEqual(Object.keys(methods))
})

describe('a layer at full rank', () => {
  it.each(rows)('by %s gives the same outputs of %s, at the cost that is told', async (...row) => {
    const [method, , made] = row
    const model = layerModel(made)
    const { model: chain, built, opened, unit } = await forced(model, method, ({ full }) => full)
    expect(built.error).toBeLessThan(1e-9)
    expect(difference(await answer(chain, 6), await answer(model, 6))).toBeLessThan(1e-5)
    // The last operator keeps the name, and new weights are called after the old one.
    expect(chain.graph.nodes.at(-1)!.name).toBe('layer')
    const names = [...chain.graph.initializers].map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('W.'))).toHaveLength(built.factors.length)
    expect(names).not.toContain('W')
    const cost = opened.cost(opened.full)
    const bias = unit.nodes[0]!.inputs[2]?.tensor?.size ?? 0
    expect(countParameters(chain).parameters).toBe(cost.parameters + bias)
    const macs = countMacs(await prepareChannels(chain))
    expect(macs).toBe(unit.countable ? cost.macs : undefined)
  })
})

describe('what a method is not for', () => {
  const reasonOf = async (method: MethodName, made: LayerCase) =>
    methods[method].refuses(unitsOf(await prepareChannels(layerModel(made))).units[0]!)

  it.each<[MethodName, string, LayerCase, RegExp]>([
    ['svd', 'Conv', convolutions.Conv!, /for Gemm and MatMul/],
    ['channel-svd', 'MatMul', linear.MatMul!, /for Conv/],
    ['spatial-svd', 'one axis', oneAxis['Conv over one axis']!, /kernel is 3, which/],
    ['tucker-2', '1×1', { opType: 'Conv', data: image, weight: [5, 6, 1, 1] }, /single tap/],
    ['cp', '1×1', { opType: 'Conv', data: image, weight: [5, 6, 1, 1] }, /single tap/],
    ['tensor-train', 'the left', linear['MatMul from the left']!, /stands on the left/],
    ['tensor-train', 'primes', { opType: 'MatMul', data: ['N', 7], weight: [7, 6] }, /7 and 6/],
    ['nmf', 'negative weights', linear.MatMul!, /has negative weights/],
  ])('%s says so of %s', async (method, _, made, reason) => {
    expect(await reasonOf(method, made)).toMatch(reason)
  })
})
