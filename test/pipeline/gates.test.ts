import { describe, expect, it } from '@jest/globals'
import type { Variant } from '../../benchmarks/report/report.ts'
import { gatesOptions, judgeGates } from '../../pipeline/gates.ts'

const variant = (id: string, from: string | null, rest: Partial<Variant> = {}): Variant => ({
  id,
  stage: 'x',
  from,
  file: `${id}.onnx`,
  sizeBytes: 100,
  gzipBytes: 90,
  parameters: 50,
  nonzeroParameters: 50,
  macs: 1000,
  accuracy: { top1: 0.9, top1Interval: [0.8, 1] },
  retention: { accuracy: 0.95, agreement: 0.9, klDivergence: 0, perClass: {}, mcnemarP: 1 },
  calibrationError: 0,
  providers: { cpu: { available: true, p50Ms: 2 } },
  ...rest,
})

const report = {
  teacher: variant('teacher', null, {
    sizeBytes: 1000,
    providers: { cpu: { available: true, p50Ms: 4 } },
  }),
  variants: [
    variant('distill', 'teacher'),
    variant('int8', 'distill', { sizeBytes: 25, macs: null }),
    variant('half', 'distill', {
      providers: {
        cpu: { available: true, p50Ms: 9, latencyRatio: { value: 0.25, interval: [0.2, 0.3] } },
      },
    }),
  ],
}
const judge = (gates: object) => judgeGates(gatesOptions.parse(gates), report)

describe('gates', () => {
  it('judge the ends of all branches unless a variant is named', () => {
    expect(judge({ retention: '>= 0.9' }).map(({ variant: id }) => id)).toEqual(['int8', 'half'])
    expect(judge({ variant: 'distill', retention: '>= 0.9' })).toHaveLength(1)
  })

  it.each([
    ['retention', '>= 0.95', 0.95, true],
    ['retention', '> 0.95', 0.95, false],
    ['agreement', '>=0.91', 0.9, false],
    ['size', '<= 0.033', 0.025, true],
    ['size', '< 2.5e-2', 0.025, false],
    ['gzip', '<= 0.09', 0.09, true],
    ['parameters', '<= 1', 1, true],
  ])('compare %s %s with %d', (name, limit, value, passed) => {
    expect(judge({ variant: 'int8', [name]: limit })).toEqual([
      { name, variant: 'int8', limit, value, passed },
    ])
  })

  it('take the paired ratio of latencies where there is one, else that of the medians', () => {
    const ratios = judge({ latency: { cpu: '<= 0.4' } }).map(({ value, passed }) => [value, passed])
    expect(ratios).toEqual([
      [0.5, false],
      [0.25, true],
    ])
  })

  it('do not pass where nothing was measured', () => {
    expect(judge({ variant: 'int8', macs: '<= 1', latency: { 'webgpu:browser': '<= 9' } })).toEqual(
      [
        { name: 'macs', variant: 'int8', limit: '<= 1', value: null, passed: false },
        {
          name: 'latency.webgpu:browser',
          variant: 'int8',
          limit: '<= 9',
          value: null,
          passed: false,
        },
      ],
    )
    const failed = { ...report, variants: [variant('a', 'teacher', { failed: 'noise' })] }
    expect(judgeGates({ size: '<= 1' }, failed)[0]?.passed).toBe(false)
  })

  it('limit the main figure and the others themselves', () => {
    const accuracy = {
      metric: 'r2',
      value: 0.8,
      interval: [0.7, 0.9] as const,
      metrics: { r2: 0.8, mae: 0.12, rmse: null },
    }
    const regression = { ...report, variants: [variant('a', 'teacher', { accuracy })] }
    const gates = gatesOptions.parse({
      accuracy: '>= 0.75',
      metrics: { mae: '<= 0.1', r2: '>= -1', rmse: '<= 1', constructor: '>= 0' },
    })
    expect(judgeGates(gates, regression)).toEqual([
      { name: 'accuracy', variant: 'a', limit: '>= 0.75', value: 0.8, passed: true },
      { name: 'metrics.mae', variant: 'a', limit: '<= 0.1', value: 0.12, passed: false },
      { name: 'metrics.r2', variant: 'a', limit: '>= -1', value: 0.8, passed: true },
      { name: 'metrics.rmse', variant: 'a', limit: '<= 1', value: null, passed: false },
      { name: 'metrics.constructor', variant: 'a', limit: '>= 0', value: null, passed: false },
    ])
    // A report of classification alone has its figure under another name.
    expect(judge({ variant: 'int8', accuracy: '> 0.9' })[0]).toMatchObject({
      value: 0.9,
      passed: false,
    })
  })

  it('are none where the recipe has none', () => {
    expect(judgeGates(undefined, report)).toEqual([])
  })
})
