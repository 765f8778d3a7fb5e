import { describe, expect, it } from '@jest/globals'
import {
  comparison,
  headline,
  noiseOn,
  recommendations,
  verdict,
  worsenings,
} from '../../benchmarks/report/judge.ts'
import type { ProviderResult, Report, Variant } from '../../benchmarks/report/report.ts'
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

/** A provider result with this latency over the teacher's. */
const onCpu = (ratio: number, interval?: readonly [number, number], rounds?: number) => ({
  cpu: {
    available: true,
    p50Ms: ratio * report.teacher.providers.cpu!.p50Ms!,
    ...(interval && {
      latencyRatio: { value: ratio, interval, ...(rounds !== undefined && { rounds }) },
    }),
  },
})

describe('verdict', () => {
  it('says what is kept, at which size and latency, and how many gates failed', () => {
    expect(plain(verdict(report))).toBe(
      "quantize keeps 98.9 % of the teacher's accuracy (no significant difference) at 1/36 of its bytes and 1/6.3 of its CPU latency. 1 of 3 gates failed.",
    )
  })

  it('does not hide a variant that is larger and slower than the teacher', () => {
    const worse = {
      ...variant('distill'),
      sizeBytes: 2 * report.teacher.sizeBytes,
      retention: { ...variant('distill').retention!, p: 0.001 },
      providers: onCpu(1.3, [1.2, 1.4]),
    }
    expect(plain(verdict(withVariants(worse)))).toBe(
      "distill keeps 99.6 % of the teacher's accuracy at 2.0× its bytes and 1.3× its CPU latency.",
    )
  })

  it.each([
    [0.9, [0.8, 1.01], 8, ' with no significant difference in CPU latency.'],
    [1.2, [0.99, 1.4], 8, ' with no significant difference in CPU latency.'],
    [0.5, [0.4, 0.6], 5, ' and 50 % of its CPU latency (too few rounds to tell).'],
    [0.5, undefined, undefined, ' and 50 % of its CPU latency (not tested).'],
    [0.5, [0.4, 0.6], undefined, ' and 50 % of its CPU latency.'],
  ] as const)('of a latency of %d within %p over %p rounds', (ratio, interval, rounds, ending) => {
    const one = { ...variant('distill'), providers: onCpu(ratio, interval, rounds) }
    const text = plain(verdict(withVariants(one)))
    expect(text.slice(-ending.length)).toBe(ending)
    const [, fastest] = recommendations(withVariants(one))
    const isDoubtful = interval?.[0] !== 0.4 || rounds === 5
    if (ratio < 1) expect(fastest!.relative.includes(', ')).toBe(isDoubtful)
  })

  it('praises nobody who keeps too little', () => {
    const poor = (id: string, agreement: number): Variant => ({
      ...variant(id),
      retention: { ...variant(id).retention!, accuracy: 0.8, agreement, p: 0.001 },
    })
    const [one, other] = [poor('distill', 0.7), { ...poor('quantize', 0.6), from: 'teacher' }]
    expect(plain(verdict(withVariants(one)))).toMatch(
      /^distill keeps only 80\.0 % of the teacher's accuracy at 1\/13 of its bytes and /,
    )
    expect(plain(verdict(withVariants(other, one)))).toMatch(
      /^No variant keeps 95 % of the teacher's accuracy; the most faithful, distill, keeps 80\.0 % of it at 1\/13 /,
    )
    const gates = report.gates.map((gate) => ({ ...gate, passed: false }))
    expect(plain(verdict({ ...withVariants(one, other), gates }))).toMatch(
      /^quantize keeps only 80\.0 % of .* All 3 gates failed\.$/,
    )
    expect(recommendations(withVariants(one)).map(({ variant: best }) => best?.id)).toEqual([
      'teacher',
      ...['teacher', 'teacher'],
      undefined,
    ])
  })

  it('says that nothing was judged without data', () => {
    const blind = { ...variant('distill'), accuracy: null, retention: null }
    const data = { ...report.data, random: true }
    expect(plain(verdict({ ...withVariants(blind), data }))).toMatch(
      /^distill takes 1\/13 of the teacher's bytes and .*; how good it is was not measured\.$/,
    )
  })

  it('speaks of the teacher where no variant is left', () => {
    expect(verdict(withVariants())).toMatch(/^teacher: .*\sMB, Accuracy .*, .*\sms a run on CPU/)
    const failed = { ...variant('distill'), failed: 'it outputs noise' }
    expect(verdict(withVariants(failed))).toBe('No variant works: the teacher stands alone.')
  })
})

describe('headline', () => {
  it('is the variant of the gates, else the smallest that is good enough, else the most faithful', () => {
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
    // What a stage spoils is not the result where what came before it is good enough, or better.
    const source = variant('distill')
    const poor = (one: Variant, agreement: number) => ({
      ...one,
      retention: { ...one.retention!, accuracy: 0.8, agreement },
    })
    expect(headline({ ...withVariants(source, noise), gates: [] })?.id).toBe('distill')
    expect(headline(withVariants(poor(source, 0.8), poor(noise, 0.7)))?.id).toBe('distill')
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

describe('noiseOn', () => {
  const noisy = (noise: NonNullable<ProviderResult['noise']>) => {
    const cpu = { ...report.teacher.providers.cpu!, noise }
    return noiseOn({ ...report, teacher: { ...report.teacher, providers: { cpu } } }, 'cpu')
  }

  it('says what shook the times of the teacher', () => {
    expect(noisy({ spread: 0.03, otherLoad: 0.02 })).toBeUndefined()
    expect(plain(noisy({ spread: 0.12, otherLoad: 0.4 })!)).toBe(
      'The machine was noisy while cpu was timed: the medians of rounds lie 12 % apart (quartiles), other programs took 40 % of the processors.',
    )
    expect(plain(noisy({ otherLoad: 0.2 })!)).not.toContain('medians')
    expect(noiseOn(report, 'cpu')).toBeUndefined()
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

  it('blames a stage for what it lost itself, where the run has compared it with what it was made from', () => {
    const source = { ...variant('prune'), id: 'source', from: 'teacher' }
    const of = (p: number, difference = -0.01) => {
      const value = source.accuracy!.value! + difference
      const against = { source: { difference, p, agreement: 0.9, klDivergence: 0.1 } }
      const accuracy = { ...source.accuracy!, value, top1: value }
      const one = { ...variant('prune'), id: 'one', from: 'source', accuracy, against }
      return plain(worsenings(withVariants(source, one), one).get('accuracy') ?? '')
    }
    expect(of(0.002)).toBe(
      'the accuracy of one is 1.00 points below that of source, significantly lower (p = 0.002)',
    )
    expect(of(0.3)).toBe('')
    expect(of(0.002, 0.01)).toBe('')
  })

  it('calls nothing slower that chance explains', () => {
    const slower = (source: Pick<ProviderResult, 'sourceRatio'>) => {
      const cpu = { ...variant('float16').providers.cpu!, ...source }
      const one = { ...variant('float16'), providers: { cpu } }
      return worsenings(withVariants(variant('distill'), one), one).has('latency cpu')
    }
    const sourceRatio = (...interval: [number, number]) => ({
      sourceRatio: { value: 1.6, interval, rounds: 8 },
    })
    expect(slower(sourceRatio(0.97, 2.2))).toBe(false)
    expect(slower(sourceRatio(1.02, 2.2))).toBe(true)
  })

  it('minds no few bytes', () => {
    const sizes = (factor: number) => ({
      sizeBytes: Math.round(variant('distill').sizeBytes * factor),
      gzipBytes: Math.round(variant('distill').gzipBytes * factor),
      macs: Math.round(variant('distill').macs! * factor),
    })
    const copy = (factor: number): Variant => ({
      ...variant('distill'),
      ...{ id: 'copy', from: 'distill', ...sizes(factor) },
    })
    const found = (factor: number) => [
      ...worsenings(withVariants(variant('distill'), copy(factor)), copy(factor)).keys(),
    ]
    expect(found(1.005)).toEqual([])
    expect(found(1.02)).toEqual(['sizeBytes', 'gzipBytes', 'macs'])
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
