// Nights without a run: figures as a suite's recipes might give them.
import { random } from '../../../base/random.ts'
import { judge, type Reading } from '../../../pipeline/nightly/judge.ts'
import { baselinesOf, type KeptNight, type Night } from '../../../pipeline/nightly/night.ts'
import { parseSuite } from '../../../pipeline/nightly/suite.ts'

/** A suite of one recipe, that of this repository. */
export const suiteOf = (more = '') =>
  parseSuite(`{ name: s, recipes: [{ recipe: digits.yaml }], ${more} }`, 'recipes/suite.yaml')

export const machine = 'a processor, 4 cores, avx2, ONNX Runtime 1'

/** A night of one recipe with these readings, judged against the nights before. */
export function nextNight(
  before: readonly KeptNight[],
  readings: readonly Omit<Reading, 'recipe'>[],
  suite = suiteOf(),
  on = machine,
): Night {
  const baselines = baselinesOf(before)
  const figures = judge(
    readings.map((reading) => ({ ...reading, recipe: 'digits' })),
    (reading) => baselines.of(reading, on),
    suite,
  ).map(({ recipe: _, ...figure }) => figure)
  const at = new Date(Date.UTC(2024, 0, 1 + before.length)).toISOString()
  return {
    ...{ suite: 's', at, condense: '0', node: '20', onnxruntime: '1', machine: on, notes: [] },
    recipes: [{ id: 'digits', gates: [], missing: [], figures }],
  }
}

/** Readings of an unchanged model: exact sizes, an accuracy and latencies with noise. */
export function noisyReadings(
  seed: number,
  night: number,
  latencies = 4,
): Omit<Reading, 'recipe'>[] {
  const { normal } = random(seed, 'night', night)
  return [
    { variant: 'int8', measure: 'size', value: 34_512 },
    { variant: 'int8', measure: 'accuracy', value: 0.97 + 0.002 * normal(), deviation: 0.004 },
    ...Array.from({ length: latencies }, (_, index) => ({
      variant: 'int8',
      measure: 'latency' as const,
      provider: `provider-${index}`,
      value: 0.2 * Math.exp(0.04 * normal()),
    })),
  ]
}
