// What is stored computes what the fake quantization computed, and a training of it is what resumption makes of it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import type { Model, Value } from '../../../../onnx/graph.ts'
import { serializeModel } from '../../../../onnx/save.ts'
import { elements, tensorOf } from '../../../../onnx/tensor.ts'
import { withSession } from '../../../../runtime/session.ts'
import { inferTypes } from '../../../../runtime/shapes.ts'
import {
  type AwareStorage,
  insertFakeQuantization,
} from '../../../../stages/quantize/aware/insert.ts'
import { type AwareOptions, awareShape } from '../../../../stages/quantize/aware/options.ts'
import { readLearned } from '../../../../stages/quantize/aware/read.ts'
import { measureRanges } from '../../../../stages/quantize/calibrate.ts'
import { machineAdvice } from '../../../../stages/quantize/machine.ts'
import { type Placement, place } from '../../../../stages/quantize/placement.ts'
import { copyForQuantization, prepareForIntegers } from '../../../../stages/quantize/prepare.ts'
import { quantizeGraph, valuesToMeasure } from '../../../../stages/quantize/static.ts'
import { train } from '../../../../train/loop.ts'
import {
  batchesOf,
  dropoutNet,
  patterns,
  residualNet,
  settingsFor,
  shape,
} from '../../../train/support.ts'

// Sums of products with weights of 8 bits saturate on processors without VNNI, which get 7.
const { weightBits } = await machineAdvice('cpu')

const storage: AwareStorage = {
  weightBits,
  activations: 'uint8',
  activationBits: 8,
  symmetricActivations: false,
  perChannel: true,
}

const optionsOf = (given: object): AwareOptions => awareShape.aware.parse(given)!

/** A model with fake quantization in it, and the one that it was made of. */
async function inserted(build: () => Model, options: object, stored: Partial<AwareStorage>) {
  const prepared = copyForQuantization(build(), [])
  await prepareForIntegers(prepared, 'model')
  const { model } = prepared
  const kept = { ...storage, ...stored }
  const placement = place(model.graph, new Set(), { symmetric: kept.symmetricActivations })
  const ranges = await measureRanges(model, valuesToMeasure(placement), patterns(64, 5), {
    ...{ method: 'minmax', share: 1, threads: 1, where: 'model' },
    levels: 256,
    symmetric: false,
    momentum: 0.9,
    check: () => undefined,
    progress: () => undefined,
  } as Parameters<typeof measureRanges>[3])
  const rangeOf = (value: Value) => ranges.get(value)!
  const types = await inferTypes(model, { where: 'model' })
  const aware = insertFakeQuantization(
    model,
    placement,
    { rangeOf, types },
    kept,
    optionsOf(options),
  )
  return { model, placement, rangeOf, aware, kept }
}

/** All quantized activations of a model on samples, by name. */
async function activationsOf(model: Model, names: readonly string[]) {
  const { graph } = model
  const made = graph.nodes.flatMap(({ outputs }) => outputs.filter((value) => value !== undefined))
  for (const name of names) {
    const value = made.find((each) => each.name === name)
    if (value && !graph.outputs.includes(value)) graph.outputs.push(value)
  }
  const [batch] = batchesOf(patterns(16, 7), 16, 1)
  const content = Float32Array.from(batch!.inputs[0] as Float32Array)
  return withSession(model, { threads: 1 }, (session) =>
    session.run({ [graph.inputs[0]!.name]: tensorOf('float32', [16, ...shape], content) }),
  )
}

const madeIn = ({ made, rangeOf }: Placement) =>
  [...made].filter((value) => !rangeOf.has(value)).map(({ name }) => name)

describe('what is stored', () => {
  it.each<[string, object, Partial<AwareStorage>]>([
    ['lsq', { learn: 'lsq' }, {}],
    ['lsq with 4 bits', { learn: 'lsq' }, { weightBits: 4 }],
    ['lsq, symmetric int8', { learn: 'lsq' }, { activations: 'int8', symmetricActivations: true }],
    ['lsq with activations of 5 bits', { learn: 'lsq' }, { activationBits: 5 }],
    ['lsq with activations of 16 bits', {}, { activations: 'uint16', activationBits: 16 }],
    ['pact', { learn: 'pact' }, { weightBits: 4 }],
    ['followed ranges', { learn: 'none' }, {}],
    ['followed ranges, int8', { learn: 'none' }, { activations: 'int8', perChannel: false }],
    ['followed ranges, symmetric', { learn: 'none' }, { symmetricActivations: true }],
    ['followed ranges of 5 bits', { learn: 'none' }, { activationBits: 5 }],
    ['ternary weights', { learn: 'none' }, { weightBits: 2 }],
  ])('computes what was trained within a step: %s', async (_name, options, stored) => {
    const { model, placement, rangeOf, aware, kept } = await inserted(residualNet, options, stored)
    const learned = await readLearned(aware.model, aware, kept, 'model')
    const names = madeIn(placement)
    expect(names.length).toBeGreaterThan(5)
    const trained = await activationsOf(aware.model, names)
    quantizeGraph(model, placement, rangeOf, {
      ...kept,
      weightBits,
      weights: 'int8',
      symmetricWeights: true,
      learned,
    })
    const found = await activationsOf(model, names)
    for (const name of names) {
      const { scale } = learned.activations.get(name)!
      const [a, b] = [elements(trained[name]!, 'float32'), elements(found[name]!, 'float32')]
      const worst = a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0)
      // A step of 16 bits is near the precision of the float32 sums behind it.
      expect(worst / scale).toBeLessThan(kept.activationBits > 8 ? 4 : 1.01)
      expect(a.some((value) => value !== 0)).toBe(true)
    }
  })
})

const folder = mkdtempSync(join(tmpdir(), 'condense-aware-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a training with fake quantization', () => {
  it.each([
    ['lsq', residualNet],
    ['pact', residualNet],
    ['none', residualNet],
    ['none', dropoutNet],
  ])('goes on to the same bytes when it was interrupted (%s, %p)', async (learn, build) => {
    const { aware } = await inserted(build, { learn, observe: 0.6 }, { weightBits: 4 })
    const settings = settingsFor({ epochs: 3 }, { quantizers: aware.quantizers })
    const bytes = ({ model }: { model: Model }) => Buffer.from(serializeModel(model))
    const whole = await train(aware.model, settings)
    const checkpoint = join(folder, `${learn} ${build.name}`)
    const signal = new AbortController()
    let steps = 0
    await expect(
      train(aware.model, {
        ...settings,
        checkpoint,
        signal: signal.signal,
        progress: ({ epochDone }) => {
          if (!epochDone && ++steps === settings.stepsPerEpoch + 3) signal.abort()
        },
      }),
    ).rejects.toThrow()
    const resumed = await train(aware.model, { ...settings, checkpoint })
    expect(bytes(resumed)).toEqual(bytes(whole))
    expect(bytes(whole)).not.toEqual(bytes({ model: aware.model }))
  })
})
