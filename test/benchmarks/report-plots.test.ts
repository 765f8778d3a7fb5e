import { describe, expect, it } from '@jest/globals'
import { parseHTML } from 'linkedom'
import type { PlotSpec, Point, ScatterSpec } from '../../benchmarks/report/blocks.ts'
import { renderCards } from '../../benchmarks/report/plots/cards.ts'
import { type Box, placeLabels } from '../../benchmarks/report/plots/labels.ts'
import { drawPlot } from '../../benchmarks/report/plots.ts'

const log = { label: 'Size', format: (value: number) => `${value} B`, scale: 'log' } as const
const linear = { label: 'Accuracy', format: String, scale: 'linear' } as const
const whole = { label: 'Epoch', format: String, scale: 'whole' } as const

const point = (label: string, series: number, x: number, y: number, onFront = true): Point => ({
  label,
  facts: [{ name: 'Size', value: `${x} B` }],
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
      names: 'all',
      x: log,
      y: linear,
      points: [point('a', 0, 1e6, 0.99), point('b', 1, 1e4, 0.98), point('c', 9, 2e4, 0.9, false)],
    },
  ],
  [
    'scatter of equal points',
    {
      ...{ plot: 'scatter', names: 'all', x: log, y: linear },
      points: [point('a', 0, 5, 1), point('b', 1, 5, 1)],
    },
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
      dots: [{ row: 'a', title: 't', series: 0, x: 1, high: 2, strip: [0.5, 1, 4] }],
    },
  ],
]

describe('drawPlot', () => {
  it.each(specs)('draws %s, with titles and no bad coordinate', (_name, spec) => {
    for (const width of [328, 560]) {
      const svg = drawPlot(spec, width, 'caption')
      const { document } = parseHTML(svg)
      expect(svg).not.toMatch(/NaN|Infinity|undefined|<style|<script| id=/)
      expect(document.querySelector('svg')?.getAttribute('aria-labelledby')).toBe('caption')
      const titled = [...document.querySelectorAll('title')].map(({ textContent }) => textContent)
      expect(titled.length).toBeGreaterThan(0)
      expect(titled.every(Boolean)).toBe(true)
      expect(drawPlot(spec, width, 'caption')).toBe(svg)
    }
  })

  it('escapes names wherever they stand', () => {
    const evil = '"><script>alert(1)</script>'
    const points = [point(evil, 1, 1, 1)]
    const scatter = { plot: 'scatter', names: 'all', x: log, y: linear, points } as const
    const dots = {
      plot: 'dots',
      x: linear,
      rows: [evil],
      dots: [{ row: evil, title: evil, series: 1, x: 1 }],
    } as const
    for (const spec of [scatter, dots])
      expect(drawPlot(spec, 560, 'caption')).not.toContain('<script')
    expect(renderCards(scatter, 560)).not.toContain('<script')
  })

  it('leaves names out that have no room, where a legend has them', () => {
    const points = Array.from({ length: 40 }, (_, series) => point(`name-${series}`, series, 5, 1))
    const namesIn = (names: ScatterSpec['names']) =>
      drawPlot({ plot: 'scatter', names, x: log, y: linear, points }, 328, 'c').split('>name-')
        .length
    expect(namesIn('with-room')).toBeLessThan(namesIn('all'))
    expect(namesIn('with-room')).toBeGreaterThan(2)
  })

  it('keeps a stroke for every single value inside the plot', () => {
    const [, ranges] = specs.find(([name]) => name === 'ranges')!
    const { document } = parseHTML(drawPlot(ranges, 560, 'caption'))
    const paths = [...document.querySelectorAll('path')].map((path) => path.getAttribute('d') ?? '')
    const strokes = paths.find((path) => path.split('M').length === 4)!
    const places = [...strokes.matchAll(/M([\d.]+)/g)].map(([, x]) => Number(x))
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(Math.min(...places)).toBeGreaterThan(0)
    expect(Math.max(...places)).toBeLessThan(560)
  })
})

describe('renderCards', () => {
  const [, scatter] = specs[0]!
  const { document } = parseHTML(renderCards(scatter as ScatterSpec, 560))

  it('has a place that takes the focus and a name that tells everything, for each point', () => {
    const points = [...document.querySelectorAll('.point')]
    expect(points.map((one) => one.getAttribute('aria-label'))).toEqual([
      'a: Size 1000000 B',
      'b: Size 10000 B',
      'c: Size 20000 B',
    ])
    expect(points.every((one) => one.getAttribute('tabindex') === '0')).toBe(true)
    expect(document.querySelectorAll('.point + .card').length).toBe(3)
  })

  it('lies where the points were drawn', () => {
    const svg = parseHTML(drawPlot(scatter, 560, 'caption')).document
    const drawn = [...svg.querySelectorAll('[transform^="translate"]')].map(
      (one) => one.getAttribute('transform') ?? '',
    )
    const height = Number(svg.querySelector('svg')!.getAttribute('height'))
    for (const item of document.querySelectorAll('li')) {
      const [left, top] = [...item.getAttribute('style')!.matchAll(/([\d.]+)%/g)].map(
        ([, share]) => Number(share) / 100,
      )
      const near = drawn.some((transform) => {
        const [x, y] = transform.match(/[\d.]+/g)!.map(Number)
        return Math.abs(x! - left! * 560) < 1 && Math.abs(y! - top! * height) < 1
      })
      expect(near).toBe(true)
    }
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
    expect(first).toEqual({ dx: 10, dy: 0, anchor: 'start', free: true })
    expect(second).toEqual({ dx: -10, dy: 0, anchor: 'end', free: true })
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
