// The page on what quantization costs where.
import { describe, expect, it } from '@jest/globals'
import {
  formatSqnr,
  type QuantizationSensitivityReport,
  rankedRows,
  renderQuantizationSensitivity,
} from '../../benchmarks/report/quantization-sensitivity.ts'

const damage = (sqnrDb: number) => ({ sqnrDb, cosine: 0.99, score: 0.9, divergence: 0.01 })

const report: QuantizationSensitivityReport = {
  name: 'model.onnx',
  scheme: 'static',
  createdAt: '2026-01-01T00:00:00.000Z',
  host: { onnxruntime: '1.30.0', node: '20' },
  source: 'digits',
  provider: 'cpu',
  ...{ metric: 'top1', score: 0.95, samples: 100, split: 'validation' },
  whole: damage(20),
  rows: Array.from({ length: 45 }, (_, index) => ({
    name: `layer<${index}>`,
    opType: 'Conv',
    alone: damage(index === 7 ? 3 : 30 + index),
    off: damage(21),
  })),
}

describe('the page on quantization', () => {
  it('shows the layer that suffers most first, as plots and as a table', () => {
    expect(rankedRows(report)[0]?.name).toBe('layer<7>')
    const page = renderQuantizationSensitivity(report)
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(2)
    expect(page).toMatch(/layers 41 to 45/)
    expect(page).toContain('layer&lt;7&gt;')
    expect(page).not.toContain('layer<7>')
  })

  it('writes decibels without end as words', () => {
    expect([200, -200, 12.34].map(formatSqnr)).toEqual(['no noise', 'noise', '12.3'])
  })
})
