// A model written out over its steps gives what the model gives step by step, with shared weights.
import { describe, expect, it } from '@jest/globals'
import { random } from '../../../base/random.ts'
import type { InputSource, Samples } from '../../../base/samples.ts'
import { newModel } from '../../../onnx/build.ts'
import { allNodes, type Model } from '../../../onnx/graph.ts'
import { loadModel, parseModel } from '../../../onnx/load.ts'
import { countParameters } from '../../../onnx/parameters.ts'
import { hoistWeights, unroll } from '../../../onnx/passes/unroll.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { predict, predictWith } from '../../../runtime/predict.ts'
import { withSession } from '../../../runtime/session.ts'
import { cell } from '../../support/cell.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'

/** Random samples of one column `x`, which models are fed as the mapping says. */
function samplesOf(
  length: number,
  inputs: Readonly<Record<string, InputSource>>,
  size = 5,
): Samples {
  return {
    size,
    columns: [{ name: 'x', dtype: 'float32', shape: [length] }],
    inputs,
    read(index, _, into, offset) {
      const source = random(7, index)
      for (let at = 0; at < length; at++) into[offset + at] = source.normal()
    },
  }
}

const largestDifference = (one: Float32Array, other: Float32Array): number =>
  one.reduce((most, value, index) => Math.max(most, Math.abs(value - other[index]!)), 0)

/** Compares step by step with unrolled, and says how far outputs are from each other over the samples. */
async function expectSame(
  model: Model,
  length: number,
  chunk: number,
  name: string,
  carried: readonly { readonly input: string; readonly output: string }[],
  others: Readonly<Record<string, InputSource>> = {},
): Promise<Model> {
  const steps = length / chunk
  const before = serializeModel(model)
  const unrolled = unroll(model, { steps, inputs: [{ name, chunk }], carried })
  expect(Buffer.compare(serializeModel(model), before)).toBe(0)
  const carry = carried.map(({ input, output }) => [input, { carry: output }] as const)
  const stepwise = { ...others, [name]: { column: 'x', chunk }, ...Object.fromEntries(carry) }
  const expected = await predict(model, samplesOf(length, stepwise))
  const whole = samplesOf(length, { ...others, [name]: { column: 'x' } })
  // ONNX Runtime's rewriting refuses branches that are never taken where shapes are known.
  const got = await withSession(
    parseModel(serializeModel(unrolled)),
    { optimization: 'disabled' },
    (session) => predictWith(session, whole),
  )
  expect(got.width).toBe(expected.width)
  expect(largestDifference(got.outputs, expected.outputs)).toBeLessThan(1e-6)
  // Steps that forget what was before would give the same for the same chunk; a comparison must not pass by that.
  expect(largestDifference(expected.outputs, new Float32Array(expected.outputs.length))).not.toBe(0)
  return unrolled
}

describe('unrolling', () => {
  it.each([
    ['lstm', 1],
    ['lstm', 6],
    ['gru', 2],
    ['gru', 5],
  ] as const)('gives of %s what %i steps one after the other give', async (kind, steps) => {
    const model = cell(kind)
    const states = kind === 'lstm' ? ['H', 'C'] : ['H']
    const carried = states.map((s) => ({ input: s.toLowerCase(), output: `next${s}` }))
    const unrolled = await expectSame(model, 3 * steps, 3, 'x', carried)
    expect(unrolled.graph.inputs.map(({ name, type }) => [name, type?.shape])).toEqual([
      ['x', ['N', 3 * steps]],
    ])
    expect(unrolled.graph.outputs.map(({ name, type }) => [name, type?.shape])).toEqual([
      ['y', ['N', 2 * steps]],
      ...(kind === 'gru' ? [['mean', ['N', steps]]] : []),
    ])
  })

  it('shares the weights among the steps, under their names', () => {
    const model = cell('gru')
    const carried = [{ input: 'h', output: 'nextH' }]
    const unrolled = unroll(model, { steps: 7, inputs: [{ name: 'x', chunk: 3 }], carried })
    expect(countParameters(unrolled)).toEqual(countParameters(model))
    for (const { name, tensor } of model.graph.initializers) {
      const found = [...unrolled.graph.initializers].filter((value) => value.name === name)
      expect(found.map((value) => value.tensor)).toEqual([tensor])
      if (tensor!.dtype === 'float32' && tensor!.size > 1) expect(found[0]!.users.size).toBe(7)
    }
    const names = [...allNodes(unrolled.graph)].map((node) => node.name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('gives inputs that are not cut to all steps', async () => {
    const { model, g } = newModel('scaled')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
    const by = g.input('by', { dtype: 'float32', shape: [] })
    const sum = g.input('sum', { dtype: 'float32', shape: ['N', 2] })
    const next = g.Add(sum, g.Mul(x, by))
    g.output('y', g.Identity(next), { dtype: 'float32', shape: ['N', 2] })
    g.output('next', next, { dtype: 'float32', shape: ['N', 2] })
    const carried = [{ input: 'sum', output: 'next' }]
    const unrolled = await expectSame(model, 8, 2, 'x', carried, { by: { constant: 3 } })
    expect(unrolled.graph.inputs.map(({ name }) => name)).toEqual(['x', 'by'])
  })

  it.each([
    [{ name: 'y', chunk: 3 }, { input: 'h', output: 'nextH' }, "has no input of that name: 'y'"],
    [{ name: 'x', chunk: 3 }, { input: 'g', output: 'nextH' }, "has no input of that name: 'g'"],
    [{ name: 'x', chunk: 3 }, { input: 'h', output: 'next' }, "has no output of that name: 'next'"],
  ])('refuses what the model does not have: %j %j', (input, carry, message) => {
    expect(() => unroll(cell('gru'), { steps: 2, inputs: [input], carried: [carry] })).toThrow(
      message,
    )
  })

  it('refuses state whose shape is not stated', () => {
    const model = cell('gru')
    const state = model.graph.inputs.find(({ name }) => name === 'h')!
    state.type = { dtype: 'float32' }
    const unrolling = {
      steps: 2,
      inputs: [{ name: 'x', chunk: 3 }],
      carried: [{ input: 'h', output: 'nextH' }],
    }
    expect(() => unroll(model, unrolling)).toThrow(
      "model: carried input 'h': its shape is not stated — export the model with it",
    )
  })

  it('gives columns that are not cut to all steps', async () => {
    const { model, g } = newModel('moved')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 2] })
    const by = g.input('by', { dtype: 'float32', shape: ['N', 2] })
    const sum = g.input('sum', { dtype: 'float32', shape: ['N', 2] })
    const next = g.Add(sum, g.Mul(x, by))
    g.output('y', g.Identity(next), { dtype: 'float32', shape: ['N', 2] })
    g.output('next', next, { dtype: 'float32', shape: ['N', 2] })
    const samples = (inputs: Samples['inputs']): Samples => ({
      size: 3,
      columns: [
        { name: 'x', dtype: 'float32', shape: [6] },
        { name: 'by', dtype: 'float32', shape: [2] },
      ],
      inputs,
      read(index, column, into, offset) {
        const values = column === 0 ? [1, 2, 3, 4, 5, 6] : [10, 100]
        for (const [at, value] of values.entries()) into[offset + at] = value * (index + 1)
      },
    })
    const carried = [{ input: 'sum', output: 'next' }]
    const stepwise = { x: { column: 'x', chunk: 2 }, sum: { carry: 'next' } }
    const expected = await predict(model, samples(stepwise))
    // Sums of x by 10 and by 100: of the odd and the even ones.
    expect([...expected.row(0)]).toEqual([10, 200, 40, 600, 90, 1200])
    expect([...expected.row(1)]).toEqual([40, 800, 160, 2400, 360, 4800])
    const unrolled = unroll(model, { steps: 3, inputs: [{ name: 'x', chunk: 2 }], carried })
    const got = await predict(unrolled, samples({}))
    expect([...got.outputs]).toEqual([...expected.outputs])
  })

  itWithShared.each(['silero-vad-op18-ifless', 'silero-vad'])(
    '%s: a voice detector over 8 chunks',
    async (name) => {
      const model = await loadModel(sharedModel(`${name}.onnx`))
      const carried = [{ input: 'state', output: 'stateN' }]
      const others = { sr: { constant: 16000 } }
      const unrolled = await expectSame(model, 8 * 512, 512, 'input', carried, others)
      expect(countParameters(unrolled)).toEqual(countParameters(model))
    },
  )
})

describe('hoisting weights', () => {
  itWithShared('moves those in branches out and keeps their names', async () => {
    const model = await loadModel(sharedModel('silero-vad.onnx'))
    expect(model.graph.initializers.size).toBe(0)
    hoistWeights(model)
    const names = [...model.graph.initializers].map(({ name }) => name)
    expect(names).toContain('If_0_else_branch__Inline_0__encoder.0.reparam_conv.weight')
    expect(countParameters(model)).toEqual(
      countParameters(await loadModel(sharedModel('silero-vad.onnx'))),
    )
  })
})
