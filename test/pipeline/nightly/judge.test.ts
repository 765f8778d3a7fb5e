import { describe, expect, it } from '@jest/globals'
import { holm, type Reading } from '../../../pipeline/nightly/judge.ts'
import { measureNames } from '../../../pipeline/nightly/measures.ts'
import { isFlagged, type KeptNight } from '../../../pipeline/nightly/night.ts'
import { readingsOf } from '../../../pipeline/nightly/nightly.ts'
import { reportFixture } from '../../support/report-fixture.ts'
import { nextNight, noisyReadings, suiteOf } from './nights.ts'

/** So many nights of an unchanged model. */
function nightsOf(count: number, seed = 1, suite = suiteOf()): KeptNight[] {
  const nights: KeptNight[] = []
  while (nights.length < count) {
    const night = nextNight(nights.slice(-100), noisyReadings(seed, nights.length), suite)
    nights.push({ ...night, id: nights.length + 1 })
  }
  return nights
}

const flaggedOf = ({ recipes }: Pick<KeptNight, 'recipes'>) =>
  recipes.flatMap(({ figures }) => figures.filter(isFlagged))

it('rejects as Holm does', () => {
  // 0.01/4, 0.01/3, then 0.01/2 is missed, and all after it.
  expect(holm([0.006, 0.002, null, 0.5, 0.003], 0.01)).toEqual([false, true, false, false, true])
  expect(holm([], 0.01)).toEqual([])
})

describe('a night after thirty good ones', () => {
  const before = nightsOf(30)
  const tonight = (change: (reading: Omit<Reading, 'recipe'>) => number) =>
    flaggedOf(
      nextNight(
        before,
        noisyReadings(1, 30).map((reading) => ({ ...reading, value: change(reading) })),
      ),
    ).map(({ measure, provider, status }) => [measure, provider, status].filter(Boolean).join(' '))

  it('is green where nothing changed', () => expect(tonight(({ value }) => value)).toEqual([]))

  it.each([
    ['a slower model', 'latency', 1.5, 'worse'],
    ['a faster model', 'latency', 0.6, 'better'],
    ['a lower accuracy', 'accuracy', 0.97, 'worse'],
    ['a higher accuracy', 'accuracy', 1.025, 'better'],
    ['a larger file', 'size', 1.01, 'worse'],
    ['a smaller file', 'size', 0.99, 'better'],
  ])('flags %s, and nothing else', (_, measure, factor, status) => {
    const flagged = tonight(
      (reading) =>
        reading.value *
        (reading.measure === measure && (reading.provider ?? 'provider-2') === 'provider-2'
          ? factor
          : 1),
    )
    expect(flagged).toEqual([
      [measure, measure === 'latency' ? 'provider-2' : '', status].filter(Boolean).join(' '),
    ])
  })

  it('lets what is smaller than its threshold pass', () =>
    expect(tonight(({ measure, value }) => (measure === 'size' ? value + 20 : value))).toEqual([]))
})

it('keeps flagging a new level until it is accepted, and then judges by the noise that it knows', () => {
  const nights = nightsOf(20)
  const slower = (night: number) =>
    noisyReadings(1, night).map((reading) => ({
      ...reading,
      value: reading.measure === 'latency' ? reading.value * 2 : reading.value,
    }))
  const add = (accepted?: string) => {
    const night = { ...nextNight(nights, slower(nights.length)), id: nights.length + 1 }
    nights.push({ ...night, ...(accepted !== undefined && { accepted }) })
    return flaggedOf(night).length
  }
  expect([add(), add(), add('a better student'), add(), add()]).toEqual([4, 4, 4, 0, 0])
  // Back at the old level it is faster than what was accepted.
  expect(flaggedOf(nextNight(nights, noisyReadings(1, 99))).map(({ status }) => status)).toEqual(
    Array(4).fill('better'),
  )
})

it('judges accuracy from the second night on, by the size of the test split', () => {
  const of = (value: number) => [
    { variant: 'int8', measure: 'accuracy' as const, value, deviation: 0.004 },
  ]
  const before = [{ ...nextNight([], of(0.97)), id: 1 }]
  expect(flaggedOf(nextNight(before, of(0.965)))).toEqual([])
  expect(flaggedOf(nextNight(before, of(0.94)))).toMatchObject([{ status: 'worse' }])
})

it('compares latencies with nights of the same machine alone', () => {
  const before = nightsOf(20)
  const elsewhere = noisyReadings(1, 20).map((reading) => ({
    ...reading,
    value: reading.measure === 'latency' ? reading.value * 3 : reading.value,
  }))
  const night = nextNight(before, elsewhere, suiteOf(), 'another machine')
  const statuses = night.recipes[0]!.figures.map(({ measure, status }) => `${measure} ${status}`)
  expect([...new Set(statuses)]).toEqual(['size steady', 'accuracy steady', 'latency new'])
})

it('notices a drift that is too slow for any single night', () => {
  const suite = suiteOf('baseline: { nights: 20 }')
  const nights: KeptNight[] = []
  while (nights.length < 120) {
    const index = nights.length
    const readings = noisyReadings(5, index).map((reading) => ({
      ...reading,
      value: reading.measure === 'latency' ? reading.value * 1.003 ** index : reading.value,
    }))
    nights.push({ ...nextNight(nights, readings, suite), id: index + 1 })
  }
  const worse = nights.map((night) => flaggedOf(night).some(({ status }) => status === 'worse'))
  expect(worse.slice(0, 40).filter(Boolean).length).toBeLessThan(3)
  expect(worse.slice(-20).filter(Boolean).length).toBeGreaterThan(15)
})

it('reads every measure that a report has', () => {
  const report = reportFixture()
  const [entry] = suiteOf().recipes
  const readings = readingsOf({ ...entry!, measures: measureNames }, report)
  const found = new Set(readings.map(({ measure }) => measure))
  for (const measure of ['accuracy', 'agreement', 'latency', 'time', 'size', 'gzip', 'macs'])
    expect(found).toContain(measure)
  const of = (measure: string) =>
    readings.find((one) => one.measure === measure && one.variant === 'quantize')?.value
  const variant = report.variants.find(({ id }) => id === 'quantize')!
  expect([of('size'), of('agreement'), of('latency')]).toEqual([
    variant.sizeBytes,
    variant.retention!.agreement,
    variant.providers.cpu!.latencyRatio!.value,
  ])
  // A watched variant alone.
  const own = readingsOf({ ...entry!, variants: ['prune'] }, report)
  expect(new Set(own.map((reading) => reading.variant))).toEqual(new Set(['prune']))
})
