import { describe, expect, it } from '@jest/globals'
import { parseHTML } from 'linkedom'
import type { PlotSpec, Point } from '../../benchmarks/report/blocks.ts'
import { type Box, placeLabels } from '../../benchmarks/report/plots/labels.ts'
import { drawPlot } from '../../benchmarks/report/plots.ts'

const log = { label: 'Size', format: (value: number) => `${value} B`, scale: 'log' } as const
const linear = { label: 'Accuracy', format: String, scale: 'linear' } as const
const whole = { label: 'Epoch', format: String, scale: 'whole' } as const

const point = (label: string, series: number, x: number, y: number, onFront = true): Point => ({
  label,
  title: `${label} at ${x}`,
  series,
  x,
  y,
  low: y - 0.01,
  high: y + 0.01,
  onFront,
})

const specs: readonly (readonly [string, PlotSpec])[] = [
  [
    'scatter',
    {
      plot: 'scatter',
      x: log,
      y: linear,
      points: [point('a', 0, 1e6, 0.99), point('b', 1, 1e4, 0.98), point('c', 9, 2e4, 0.9, false)],
    },
  ],
  [
    'scatter of equal points',
    { plot: 'scatter', x: log, y: linear, points: [point('a', 0, 5, 1), point('b', 1, 5, 1)] },
  ],
  [
    'curves',
    {
      plot: 'curves',
      x: whole,
      y: log,
      curves: [
        {
          label: 'a',
          series: 1,
          dashed: false,
          points: [
            { x: 1, y: 2 },
            { x: 2, y: 1 },
          ],
        },
        { label: 'b', series: 2, dashed: true, points: [{ x: 1, y: 3 }] },
      ],
    },
  ],
  [
    'curves of one epoch',
    {
      plot: 'curves',
      x: whole,
      y: linear,
      curves: [{ label: 'a', series: 1, dashed: false, points: [{ x: 1, y: 0 }] }],
    },
  ],
  [
    'dots',
    {
      plot: 'dots',
      x: linear,
      rows: ['0', '1'],
      reference: 1,
      dots: [
        { row: '0', title: 't', series: 1, x: 1 },
        { row: '0', title: 't', series: 2, x: 0.9 },
        { row: '1', title: 't', series: 1, x: 0.8 },
      ],
    },
  ],
  [
    'ranges',
    {
      plot: 'dots',
      x: log,
      rows: ['a'],
      dots: [{ row: 'a', title: 't', series: 0, x: 1, high: 2 }],
    },
  ],
]

describe('drawPlot', () => {
  it.each(specs)('draws %s, with a title on every mark and no bad coordinate', (_name, spec) => {
    for (const width of [328, 560]) {
      const svg = drawPlot(spec, width, 'caption')
      const { document } = parseHTML(svg)
      expect(svg).not.toMatch(/NaN|Infinity|undefined|<style|<script| id=/)
      expect(document.querySelector('svg')?.getAttribute('aria-labelledby')).toBe('caption')
      const dots = [...document.querySelectorAll('circle')]
      expect(dots.length).toBeGreaterThan(0)
      expect(dots.every((dot) => dot.querySelector('title'))).toBe(true)
      expect(drawPlot(spec, width, 'caption')).toBe(svg)
    }
  })

  it('escapes names wherever they stand', () => {
    const evil = '"><script>alert(1)</script>'
    const scatter = { plot: 'scatter', x: log, y: linear, points: [point(evil, 1, 1, 1)] } as const
    const dots = {
      plot: 'dots',
      x: linear,
      rows: [evil],
      dots: [{ row: evil, title: evil, series: 1, x: 1 }],
    } as const
    for (const spec of [scatter, dots])
      expect(drawPlot(spec, 560, 'caption')).not.toContain('<script')
  })
})

describe('placeLabels', () => {
  const frame: Box = { left: 0, top: 0, right: 400, bottom: 300 }

  it('puts a label right of its point where there is room, else elsewhere', () => {
    const [first, second] = placeLabels(
      [
        { text: 'one', x: 100, y: 100 },
        { text: 'two', x: 395, y: 200 },
      ],
      [],
      frame,
      12,
    )
    expect(first).toEqual({ dx: 10, dy: 0, anchor: 'start' })
    expect(second).toEqual({ dx: -10, dy: 0, anchor: 'end' })
  })

  it('keeps the labels of near points apart', () => {
    const labels = Array.from({ length: 6 }, (_, index) => ({
      text: `variant-${index}`,
      x: 200 + index,
      y: 150 + index,
    }))
    const places = placeLabels(labels, [], frame, 12)
    expect(new Set(places.map((place) => JSON.stringify(place))).size).toBe(6)
  })
})
