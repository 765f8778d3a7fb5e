// Unchanged nights stay green as often as stated, and changes are noticed, over thousands of simulated nights.
import { expect, it } from '@jest/globals'
import { isFlagged, type KeptNight } from '../../../pipeline/nightly/night.ts'
import { nextNight, noisyReadings, suiteOf } from '../../pipeline/nightly/nights.ts'

const nightsEach = 250
const histories = 24
const begins = 10

/** Of so many unchanged nights, those on which anything was flagged; a false alarm is accepted by nobody. */
function alarms(level: number, seed: number, latencies: number): number {
  const suite = suiteOf(`thresholds: { falseAlarms: ${level}, latency: 0 }`)
  const nights: KeptNight[] = []
  let count = 0
  for (let index = 0; index < nightsEach; index++) {
    const readings = noisyReadings(seed, index, latencies)
    const night = { ...nextNight(nights, readings, suite), id: index + 1 }
    nights.push(night)
    if (index >= begins && night.recipes[0]!.figures.some(isFlagged)) count++
  }
  return count
}

it.each([0.01, 0.05])('keeps the share of false alarms at %d', (level) => {
  const trials = histories * (nightsEach - begins)
  let count = 0
  for (let seed = 0; seed < histories; seed++) count += alarms(level, seed, 6)
  process.stderr.write(
    `stated ${level}: ${count} false alarms in ${trials} nights, ${(count / trials).toFixed(4)}\n`,
  )
  // Three standard deviations of the binomial distribution above what is stated, and not blind either.
  expect(count / trials).toBeLessThan(level + 3 * Math.sqrt((level * (1 - level)) / trials))
  expect(count / trials).toBeGreaterThan(level / 5)
})
