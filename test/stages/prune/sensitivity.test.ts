import { describe, expect, it } from '@jest/globals'
import { renderSensitivity } from '../../../benchmarks/report/sensitivity.ts'
import { architectureOptions, buildArchitecture } from '../../../models/index.ts'
import { oneInput } from '../../../models/layers.ts'
import { predict } from '../../../runtime/predict.ts'
import { analyseSensitivity } from '../../../stages/prune/analysis.ts'
import { prune } from '../../../stages/prune/index.ts'
import { costOf, measureSensitivity, type Sensitivity } from '../../../stages/prune/sensitivity.ts'
import { classes, contextOf, data, shape } from '../support.ts'

const lenet = buildArchitecture(
  architectureOptions.parse({ architecture: 'lenet', channels: [8, 12] }),
  { ...oneInput(shape, classes), seed: 1 },
)

const optionsOf = (options: object) =>
  prune.options.parse({ stage: 'prune', target: { sparsity: 0.5 }, ...options })

describe('sensitivity', () => {
  it.each([
    ['channels', 3],
    ['weights', 5],
  ])('measures every layer at every share: %s', async (structure, layers) => {
    const { context } = contextOf(lenet)
    const shares = [0.5, 0.25]
    const found = await analyseSensitivity(lenet, optionsOf({ structure }), context, shares)
    expect(found).toMatchObject({ metric: 'top1', samples: 64, split: 'validation' })
    expect(found.rows.length).toBeGreaterThanOrEqual(Math.min(3, layers))
    for (const { points, size } of found.rows) {
      expect(points.map(({ gone }) => gone)).toEqual([size / 4, size / 2])
      for (const { score, divergence } of points) {
        expect(score).toBeGreaterThanOrEqual(0)
        expect(divergence).toBeGreaterThan(0)
      }
    }
  })

  it('measures what was interrupted from where it was', async () => {
    const { context } = contextOf(lenet)
    let cuts = 0
    const subjects = ['a', 'b', 'c'].map((name) => ({
      name,
      size: 4,
      countOf: (share: number) => share * 4,
      contentOf: (count: number) => count,
      cut() {
        cuts++
        return lenet
      },
    }))
    const controller = new AbortController()
    const aborted = {
      ...context,
      signal: controller.signal,
      progress: ({ done }: { done: number }) => done >= 0.5 && controller.abort(),
    }
    await expect(measureSensitivity(lenet, subjects, [0.25, 0.5], aborted)).rejects.toThrow()
    const before = cuts
    expect(before).toBeLessThan(6)
    const found = await measureSensitivity(lenet, subjects, [0.25, 0.5], context)
    // The cut that was under way is made again, those before it are not.
    expect(cuts).toBeLessThanOrEqual(7)
    expect(found.rows.every(({ points }) => points.length === 2)).toBe(true)
    const { outputs } = await predict(lenet, data.validation)
    expect(outputs.every(Number.isFinite)).toBe(true)
    expect(found.rows[0]!.points[0]).toMatchObject({ score: found.score, divergence: 0 })
  })

  const sensitivity: Sensitivity = {
    metric: 'top1',
    score: 0.9,
    samples: 64,
    split: 'validation',
    rows: [
      {
        name: '<conv>',
        size: 8,
        points: [
          { share: 0.25, gone: 2, score: 0.88, divergence: 0.2 },
          { share: 0.5, gone: 4, score: 0.89, divergence: 0.1 },
          { share: 0.75, gone: 6, score: 0.5, divergence: 1.2 },
        ],
      },
      { name: 'plain', size: 4, points: [{ share: 0.5, gone: 2, score: 0.8, divergence: null }] },
    ],
  }

  it('costs never less for more, on straight lines between what was measured', () => {
    const cost = costOf(sensitivity)
    expect(cost('<conv>', 0.125)).toBeCloseTo(0.1)
    expect(cost('<conv>', 0.5)).toBeCloseTo(0.2)
    expect(cost('<conv>', 0.625)).toBeCloseTo(0.7)
    expect(cost('<conv>', 0.875)).toBeCloseTo(1.7)
    expect(cost('plain', 0.25)).toBeCloseTo(0.05)
  })

  it('becomes a page that opens from disk', () => {
    const page = renderSensitivity({
      ...sensitivity,
      name: 'model.onnx',
      structure: 'channels',
      criterion: 'l1',
      createdAt: '2026-01-01T00:00:00.000Z',
      host: { onnxruntime: '1', node: '20' },
      source: 'digits',
    })
    expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(4)
    expect(page).not.toContain('<conv>')
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/)
  })
})
