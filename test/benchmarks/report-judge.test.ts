import { describe, expect, it } from '@jest/globals'
import {
  comparison,
  headline,
  recommendations,
  verdict,
  worsenings,
} from '../../benchmarks/report/judge.ts'
import type { Report, Variant } from '../../benchmarks/report/report.ts'
import { reportFixture } from '../support/report-fixture.ts'

const report = reportFixture()
const plain = (text: string) => text.replace(/[\u202f\u00a0]/g, ' ')
const variant = (id: string): Variant => report.variants.find((one) => one.id === id)!

/** The fixture with other variants and without gates. */
const withVariants = (...variants: readonly Variant[]): Report => ({
  ...report,
  variants,
  pareto: [],
  gates: [],
})

describe('verdict', () => {
  it('says what is kept, at which size and latency, and how many gates failed', () => {
    expect(plain(verdict(report))).toBe(
      "quantize keeps 98.9 % of the teacher's accuracy at 1/36 of its bytes and 1/6.3 of its CPU latency. 1 of 3 gates failed.",
    )
  })

  it('does not hide a variant that is larger and slower than the teacher', () => {
    const worse = {
      ...variant('distill'),
      sizeBytes: 2 * report.teacher.sizeBytes,
      providers: { wasm: { available: true, p50Ms: 5, measurements: [] } },
    }
    expect(plain(verdict(withVariants(worse)))).toBe(
      "distill keeps 99.6 % of the teacher's accuracy at 2.0× its bytes and 1.3× its wasm latency.",
    )
  })

  it('speaks of the teacher where no variant is left', () => {
    expect(verdict(withVariants())).toContain('no variant')
    const failed = { ...variant('distill'), failed: 'it outputs noise' }
    expect(verdict(withVariants(failed))).toBe('No variant works: the teacher stands alone.')
  })
})

describe('headline', () => {
  it('is the variant of the gates, else the smallest leaf that is good enough', () => {
    expect(headline(report)?.id).toBe('quantize')
    expect(headline({ ...report, gates: [] })?.id).toBe('quantize')
    expect(headline(withVariants(variant('distill'), variant('float16')))?.id).toBe('float16')
    const noise = {
      ...variant('quantize'),
      retention: { ...variant('quantize').retention!, accuracy: 0.1 },
    }
    expect(headline(withVariants(variant('distill'), noise, variant('float16')))?.id).toBe(
      'float16',
    )
  })
})

describe('recommendations', () => {
  it('names the best variant for every goal', () => {
    expect(recommendations(report).map(({ goal, variant: best }) => [goal, best?.id])).toEqual([
      ['Smallest', 'quantize'],
      ['Fastest on cpu', 'prune'],
      ['Fastest on wasm', 'prune'],
      ['Most faithful', 'distill'],
    ])
  })

  it('prefers the teacher to a variant that lost too much, and leaves emulated GPUs out', () => {
    const lost = { ...variant('distill').retention!, accuracy: 0.5 }
    const software = { available: true, software: true, p50Ms: 0.01 }
    const useless = { ...variant('distill'), retention: lost, providers: { webgpu: software } }
    const chosen = recommendations(withVariants(useless))
    expect(chosen.map(({ goal, variant: best }) => [goal, best?.id])).toEqual([
      ['Smallest', 'teacher'],
      ['Fastest on cpu', 'teacher'],
      ['Fastest on wasm', 'teacher'],
      ['Most faithful', undefined],
    ])
  })
})

describe('comparison', () => {
  const retained = (accuracy: number, p: number): Variant => ({
    ...variant('distill'),
    retention: { ...variant('distill').retention!, accuracy, p },
  })
  it.each([
    [0.99, 0.05, 'no significant difference (p = 0.05)'],
    [0.9, 0.0499, 'significantly lower (p = 0.05)'],
    [0.9, 1e-9, 'significantly lower (p < 0.0001)'],
    [1.01, 0.001, 'significantly higher (p = 0.001)'],
  ])('of a retention of %d with p %d', (accuracy, p, text) => {
    expect(plain(comparison(retained(accuracy, p)))).toBe(text)
  })
})

describe('worsenings', () => {
  it('finds what is worse than the teacher or than the source', () => {
    const of = (id: string) =>
      [...worsenings(report, variant(id))].map(([key, text]) => [key, plain(text)])
    expect(of('distill')).toEqual([])
    expect(of('prune')).toEqual([
      [
        'accuracy',
        "the accuracy of prune is 1.20 points below the teacher's, significantly lower (p = 0.0031)",
      ],
    ])
    expect(of('float16')).toEqual([
      ['latency cpu', 'float16 is slower than distill on cpu: 0.348 ms against 0.212 ms'],
    ])
  })

  it('finds a file that grew', () => {
    const grown = { ...variant('distill'), sizeBytes: 2e6, gzipBytes: 1.9e6, macs: 9e9 }
    expect([...worsenings(withVariants(grown), grown).keys()]).toEqual([
      'sizeBytes',
      'gzipBytes',
      'macs',
    ])
  })
})
