import { describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../../base/errors.ts'
import { prepareChannels } from '../../../channels/prepare.ts'
import { buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import type { Model } from '../../../onnx/graph.ts'
import { layersOf } from '../../../onnx/layers.ts'
import { countMacs } from '../../../onnx/multiplications.ts'
import { serializeModel } from '../../../onnx/save.ts'
import { elements } from '../../../onnx/tensor.ts'
import { gradualMasking } from '../../../stages/prune/gradual.ts'
import { prune } from '../../../stages/prune/index.ts'
import { regrowMasking } from '../../../stages/prune/regrow.ts'
import {
  isTime,
  scheduleForms,
  scheduleOptions,
  timeAt,
  timesOf,
} from '../../../stages/prune/schedule.ts'
import { weighable } from '../../../stages/prune/weights.ts'
import type { StageContext } from '../../../stages/stage.ts'
import type { ByWeight } from '../../../train/masking.ts'
import { classes, contextOf, shape } from '../support.ts'

const net = (seed = 1): Model =>
  buildArchitecture({ architecture: 'mlp', hidden: [16] }, { ...oneInput(shape, classes), seed })

const weightsOf = ({ graph }: Model) =>
  new Map(layersOf(graph).map(({ weight }) => [weight.name, elements(weight.tensor!, 'float32')]))

const zerosOf = (values: Float32Array) => values.filter((value) => value === 0).length
const bytesOf = (model: Model) => Buffer.from(serializeModel(model)).toString('base64')

const recover = { epochs: 4, batch: 32, labels: true, optimizer: { name: 'adamw', rate: 0.01 } }

async function pruned(options: object, model = net(), context?: Partial<StageContext>) {
  const made = contextOf(model)
  const parsed = prune.options.parse({
    ...{ stage: 'prune', structure: 'weights', target: { sparsity: 0.8 }, recover },
    ...options,
  })
  const result = await prune.run({ model, facts: {} }, parsed, { ...made.context, ...context })
  return { ...result, messages: made.messages }
}

describe('schedules of pruning', () => {
  it('follow their formulas', () => {
    for (const time of [0, 0.2, 0.5, 0.9, 1])
      for (const sparsity of [0.3, 0.9]) {
        // Zhu and Gupta 2017, equation 1, with an initial sparsity of 0
        const cubic = sparsity + (0 - sparsity) * (1 - time) ** 3
        expect(sparsity * scheduleForms.cubic(time)).toBeCloseTo(cubic, 12)
        expect(sparsity * scheduleForms.linear(time)).toBeCloseTo(sparsity * time, 12)
        const left = (1 - sparsity) ** time
        expect(sparsity * scheduleForms.exponential(time, sparsity)).toBeCloseTo(1 - left, 12)
      }
  })

  it.each([
    [{ begin: 0, end: 0.5, every: 0.1 }, 100, [0, 10, 20, 30, 40, 50]],
    [{ begin: 0.2, end: 0.45, every: 0.1 }, 100, [20, 30, 40, 45]],
    // The last update can be followed by none.
    [{ begin: 0.5, end: 1, every: 0.2 }, 10, [5, 7, 9]],
    [{ begin: 0.5, end: 0.5, every: 0.2 }, 10, [5]],
    [{ begin: 0, end: 1, every: 0 }, 4, [0, 1, 2, 3]],
    [{ begin: 0, end: 0.7, every: 0.02 }, 1, [0]],
  ])('of %j over %i updates come at %j', (options, updates, wanted) => {
    const times = timesOf(options, updates)
    const found = Array.from({ length: updates }, (_, update) => update).filter((update) =>
      isTime(times, update),
    )
    expect(found).toEqual(wanted)
    expect(timeAt(times, found.at(-1)!)).toBe(1)
  })

  it('make masks of the weights as they are then', async () => {
    const model = await weighable(net())
    const { context } = contextOf(model)
    const options = prune.options.parse({
      ...{ stage: 'prune', structure: 'weights', target: { sparsity: 0.8 }, recover },
    })
    const schedule = scheduleOptions.parse({ begin: 0.1, end: 0.9, every: 0.2 })
    const masking = gradualMasking(model, schedule, options, context)
    const [total, updates] = [64 * 16 + 16 * classes, 101]
    let masks: ByWeight = new Map(
      [...weightsOf(model)].map(([name, { length }]) => [name, new Float32Array(length).fill(1)]),
    )
    for (let update = 0; update < updates; update++) {
      if (!masking.due(update, updates)) continue
      // Other weights each time: what is dead stays dead all the same.
      const current = net(update)
      const found: ByWeight = await masking.decide({
        ...{ update, updates, masks, weights: weightsOf(current), model: () => current },
        ...{ gradients: undefined, movement: undefined },
      })
      const sparsity = 0.8 * (1 - (1 - (update - 10) / 80) ** 3)
      const zeros = [...found.values()].reduce((sum, mask) => sum + zerosOf(mask), 0)
      expect(zeros).toBe(Math.round(sparsity * total))
      for (const [name, mask] of masks)
        expect(mask.every((flag, at) => flag === 1 || found.get(name)![at] === 0)).toBe(true)
      masks = found
    }
    expect(masking.settled(updates)).toBe(90)
  })
})

describe('gradual pruning', () => {
  it.each([
    ['linear', 'weights', { target: { sparsity: 0.8 } }],
    ['cubic', '2:4', { target: undefined }],
    ['exponential', 'block-4x1', { target: { sparsity: 0.75 } }],
  ])('with a %s schedule ends with the sparsity of %s', async (name, structure, options) => {
    const schedule = { name, end: 1, every: 0.1 }
    const { model, facts } = await pruned({ structure, schedule, ...options })
    const zeros = [...weightsOf(model).values()].reduce((sum, values) => sum + zerosOf(values), 0)
    const wanted = structure === '2:4' ? 0.5 : options.target!.sparsity
    expect(zeros).toBe(Math.round(wanted * (64 * 16 + 16 * classes)))
    expect(facts.summary).toMatch(
      new RegExp(`^zeroed ${zeros} of 1088 weights in 2 layers; trained 4 epochs, best 4`),
    )
  })

  it.each([
    ['a schedule', { schedule: { every: 0.1 } }],
    ['movement', { criterion: 'movement' }],
    ['regrowing', { regrow: { every: 0.1 } }],
    ['steps', { steps: 2 }],
  ])('with %s, killed and resumed, gives the same bytes', async (_, options) => {
    const whole = await pruned(options)
    const { context } = contextOf(net())
    const controller = new AbortController()
    let steps = 0
    const killed = pruned(options, net(), {
      ...{ folder: context.folder, signal: controller.signal },
      progress: () => {
        if (++steps === 19) controller.abort()
      },
    })
    await expect(killed).rejects.toThrow(Interrupted)
    const resumed = await pruned(options, net(), { folder: context.folder })
    expect(bytesOf(resumed.model)).toBe(bytesOf(whole.model))
    expect(resumed.facts.epochs).toEqual(whole.facts.epochs)
    expect(resumed.facts.epochs!.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4])
  })

  it('by movement keeps what moves away from zero, also of what is dead', async () => {
    const model = await weighable(net())
    const { context } = contextOf(model)
    const options = prune.options.parse({
      ...{ stage: 'prune', structure: 'weights', target: { sparsity: 0.5 }, recover },
      criterion: 'movement',
    })
    const masking = gradualMasking(model, scheduleOptions.parse({}), options, context)
    expect(masking.tracks).toEqual(['movement'])
    const weights = weightsOf(model)
    const movement = new Map(
      [...weights].map(([name, values]) => [name, values.map((_, at) => (at % 2) - 0.5)]),
    )
    for (const living of [(_: number) => 1, (at: number) => 1 - (at % 2)]) {
      const masks = new Map(
        [...weights].map(([name, values]) => [name, values.map((_, at) => living(at))]),
      )
      const found = await masking.decide({
        ...{ update: 70, updates: 100, masks, weights, movement, gradients: undefined },
        model: () => model,
      })
      for (const mask of found.values())
        expect(mask.every((flag, at) => flag === at % 2)).toBe(true)
    }
  })
})

describe('regrowing', () => {
  it('moves the smallest living weights to where the gradient is largest', async () => {
    const model = await weighable(net())
    const { context } = contextOf(model)
    const options = prune.options.parse({
      ...{ stage: 'prune', structure: 'weights', target: { sparsity: 0.5 }, recover },
    })
    const masking = regrowMasking(model, { share: 0.4, end: 0.8, every: 0.1 }, options, context)
    const weights = weightsOf(model)
    const masks = new Map(
      [...weights].map(([name, values]) => [name, values.map((_, at) => at % 2)]),
    )
    const gradients = new Map(
      [...weights].map(([name, values]) => [name, values.map((_, at) => at / 100 - 3)]),
    )
    const state = { masks, gradients, movement: undefined, model: () => model }
    expect([0, 10, 15, 80, 90].map((update) => masking.due(update, 100))).toEqual([
      false,
      true,
      false,
      true,
      false,
    ])
    const masked = new Map(
      [...weights].map(([name, values]) => [name, values.map((w, at) => w * (at % 2))]),
    )
    const found = await masking.decide({ ...state, update: 20, updates: 100, weights: masked })
    // Evci et al. 2020: α/2 · (1 + cos(tπ/T))
    const fraction = 0.2 * (1 + Math.cos((Math.PI * 20) / 80))
    for (const [name, mask] of found) {
      const [before, values, slopes] = [masks, masked, gradients].map((all) => all.get(name)!)
      const all = [...mask.keys()]
      const alive = all.filter((at) => before![at] === 1)
      const count = Math.floor(fraction * alive.length)
      const stay = alive
        .sort((a, b) => Math.abs(values![a]!) - Math.abs(values![b]!) || a - b)
        .slice(count)
      const grown = all
        .filter((at) => !stay.includes(at))
        .sort((a, b) => Math.abs(slopes![b]!) - Math.abs(slopes![a]!) || a - b)
        .slice(0, count)
      expect(all.filter((at) => mask[at] === 1)).toEqual([...stay, ...grown].sort((a, b) => a - b))
    }
    const still = await masking.decide({ ...state, update: 80, updates: 100, weights: masked })
    expect(still).toEqual(masks)
  })

  it.each(['weights', 'block-4x1'])(
    'keeps the sparsity of %s through training',
    async (structure) => {
      const options = { structure, target: { sparsity: 0.75 } }
      const { model } = await pruned({ ...options, regrow: { every: 0.05 } })
      const plain = await pruned({ ...options, recover: undefined })
      let moved = 0
      for (const [name, values] of weightsOf(model)) {
        const before = weightsOf(plain.model).get(name)!
        expect(Math.abs(zerosOf(values) - zerosOf(before))).toBeLessThanOrEqual(1)
        moved += values.filter((value, at) => value !== 0 && before[at] === 0).length
      }
      expect(moved).toBeGreaterThan(20)
    },
  )
})

describe('rewinding', () => {
  it('starts what is left from the values of an earlier variant', async () => {
    const [model, early] = [net(1), net(2)]
    const asked: string[] = []
    const { model: result, facts } = await pruned(
      // A training that changes next to nothing shows where it started.
      { rewind: 'early', recover: { ...recover, optimizer: { name: 'sgd', rate: 1e-9 } } },
      model,
      {
        variant: async (id) => {
          asked.push(id)
          return early
        },
      },
    )
    expect(asked).toEqual(['early'])
    const plain = await pruned({ recover: undefined }, model)
    for (const [name, values] of weightsOf(result)) {
      const mask = weightsOf(plain.model).get(name)!
      const start = weightsOf(early).get(name)!
      for (const [at, value] of values.entries())
        expect(value).toBeCloseTo(mask[at] === 0 ? 0 : start[at]!, 6)
    }
    expect(facts.summary).toMatch(/^zeroed 870 of 1088 weights in 2 layers; trained 4 epochs/)
    const options = prune.options.parse({
      ...{ stage: 'prune', structure: 'weights', target: { sparsity: 0.5 } },
      ...{ rewind: 'early', recover },
    })
    expect(prune.variants!(options)).toEqual(['early'])
  })

  it('refuses a variant of another form', async () => {
    const other = buildArchitecture(
      { architecture: 'mlp', hidden: [12] },
      { ...oneInput(shape, classes), seed: 1 },
    )
    await expect(
      pruned({ rewind: 'other' }, net(), { variant: async () => other }),
    ).rejects.toThrow(/^rewind: 'other' has no weight of this model: '\S+' of \[[\d,]+\] — name a/)
  })
})

describe('pruning in steps', () => {
  it('reaches the sparsity by equal factors, and nothing comes back', async () => {
    const { model, messages } = await pruned({ steps: 2, target: { sparsity: 0.84 } })
    const counts = messages.flatMap((line) => /^step \d of 2: zeroed (\d+)/.exec(line)?.[1] ?? [])
    // 1 - √0.16
    expect(counts.map(Number)).toEqual([Math.round(0.6 * 1088), Math.round(0.84 * 1088)])
    const zeros = [...weightsOf(model).values()].reduce((sum, values) => sum + zerosOf(values), 0)
    expect(zeros).toBe(Math.round(0.84 * 1088))
  })

  it('cuts channels down to a share of the first model', async () => {
    const resnet = buildArchitecture(
      { architecture: 'resnet', depth: 8, width: 8 },
      { ...oneInput(shape, classes), seed: 1 },
    )
    const { model, messages } = await pruned(
      {
        structure: 'channels',
        target: { macs: 0.5 },
        steps: 2,
        recover: { ...recover, epochs: 2 },
      },
      resnet,
    )
    expect(messages.filter((line) => /^step \d of 2: cut/.test(line))).toHaveLength(2)
    const macs = async (each: Model) => countMacs(await prepareChannels(each))!
    const share = (await macs(model)) / (await macs(resnet))
    expect(share).toBeLessThanOrEqual(0.5)
    expect(share).toBeGreaterThan(0.46)
  })
})

describe('what does not go together over time', () => {
  const sparsity = { target: { sparsity: 0.5 } }
  it.each([
    [{ ...sparsity, schedule: {} }, 'schedule', 'happens while the model recovers'],
    [{ ...sparsity, regrow: {} }, 'regrow', 'happens while the model recovers'],
    [{ ...sparsity, rewind: 'early' }, 'rewind', 'happens while the model recovers'],
    [{ ...sparsity, steps: 2 }, 'steps', 'happens while the model recovers'],
    [{ ...sparsity, criterion: 'movement' }, 'criterion', 'looks at a training'],
    [{ ...sparsity, recover, steps: 5 }, 'steps', 'more than the epochs of recover'],
    [{ ...sparsity, recover, steps: 2, schedule: {} }, 'schedule', 'does not go with steps'],
    [{ ...sparsity, recover, steps: 2, regrow: {} }, 'regrow', 'does not go with steps'],
    [{ ...sparsity, recover, schedule: {}, regrow: {} }, 'regrow', 'does not go with schedule'],
    [{ ...sparsity, recover, schedule: {}, rewind: 'x' }, 'rewind', 'does not go with schedule'],
    [{ ...sparsity, recover, regrow: {}, rewind: 'x' }, 'rewind', 'does not go with regrow'],
    [{ ...sparsity, recover, schedule: { begin: 0.5, end: 0.4 } }, 'end', 'comes before begin'],
    [
      { ...sparsity, recover, schedule: {}, reconstruct: true },
      'reconstruct',
      'does not go with schedule',
    ],
    [
      { ...sparsity, recover, schedule: {}, recalibrate: {} },
      'recalibrate',
      'does not go with schedule',
    ],
    [{ ...sparsity, recover, steps: 2, criterion: 'movement' }, 'steps', 'which has a schedule'],
    [{ structure: '2:4', recover, regrow: {} }, 'regrow', "does not go with structure '2:4'"],
    [{ structure: 'banded', ...sparsity, recover, regrow: {} }, 'regrow', "structure 'banded'"],
    [{ structure: 'channels', ...sparsity, recover, schedule: {} }, 'schedule', "'channels'"],
    [{ structure: 'channels', ...sparsity, recover, rewind: 'x' }, 'rewind', "'channels'"],
    [{ structure: 'block-diagonal', ...sparsity, criterion: 'l1' }, 'criterion', 'block-diagonal'],
    [{ structure: 'banded', ...sparsity, scope: 'row' }, 'scope', "goes with structure 'weights'"],
    [{ structure: 'banded', target: { macs: 0.5 } }, 'macs', 'use sparsity'],
  ])('is refused: %j', (options, key, message) => {
    const parsed = prune.options.safeParse({ stage: 'prune', structure: 'weights', ...options })
    const issue = parsed.error?.issues.find(({ path }) => path.at(-1) === key)
    expect(issue?.message).toContain(message)
  })
})
