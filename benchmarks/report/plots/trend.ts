// A value over many nights: a line in its band of noise, with the nights that left it.
import * as Plot from '@observablehq/plot'
import type { TrendSpec } from '../blocks.ts'
import { axes, domainOf, margins, scaleOf, spread } from './axes.ts'
import { seriesColor } from './palette.ts'

/** More points than this are drawn as ranges: about four CSS pixels each. */
const most = 120

/** Lays out a trend, `width` CSS pixels wide. */
export function trend(
  { x, y, points, bands, flagged, accepted }: TrendSpec,
  width: number,
): Plot.PlotOptions {
  const drawn = thinned(points)
  const xDomain = spread(
    points.map((point) => point.x),
    1,
  )
  const values = [
    ...points.map((point) => point.y),
    ...bands.flatMap((band) => band.flatMap(({ low, high }) => [low, high])),
  ]
  // Of a value that hardly varies the least digits would fill the plot.
  const largest = values.reduce((found, value) => Math.max(found, Math.abs(value)), 0)
  const [low, high] = domainOf(values, y.scale, 0.08)
  const room = Math.max(0, largest * 0.01 - (high - low)) / 2
  const yDomain = [low - room, high + room] as const
  const stroke = seriesColor(1)
  return {
    ...margins,
    height: Math.round(Math.max(180, width * 0.36)),
    x: scaleOf(x, xDomain),
    y: scaleOf(y, yDomain),
    marks: [
      ...axes(x, xDomain, y, yDomain, width),
      ...bands.map((band) =>
        Plot.areaY(every(band, Math.ceil(band.length / most)), {
          x: 'x',
          y1: 'low',
          y2: 'high',
          fill: 'var(--quiet)',
          fillOpacity: 0.16,
        }),
      ),
      ...accepted.map((night) =>
        Plot.ruleX([night], { stroke: 'var(--quiet)', strokeDasharray: '2 3' }),
      ),
      ...(drawn.length < points.length
        ? [Plot.areaY(drawn, { x: 'x', y1: 'low', y2: 'high', fill: stroke, fillOpacity: 0.3 })]
        : []),
      Plot.line(drawn, { x: 'x', y: 'y', stroke, strokeWidth: 1.5 }),
      ...(drawn.length === 1 ? [Plot.dot(drawn, { x: 'x', y: 'y', r: 3, fill: stroke })] : []),
      // Worse ones are full and point down, better ones are hollow and point up: not by colour alone.
      Plot.dot(flagged, {
        x: 'x',
        y: 'y',
        r: 5,
        symbol: ({ mark }: Flagged) => (mark === 'bad' ? 'triangle' : 'circle'),
        rotate: ({ mark }: Flagged) => (mark === 'bad' ? 180 : 0),
        fill: ({ mark }: Flagged) => (mark === 'bad' ? 'var(--bad)' : 'var(--paper)'),
        stroke: ({ mark }: Flagged) => `var(--${mark})`,
        strokeWidth: 1.5,
        title: 'title',
      }),
    ],
  }
}

type Flagged = TrendSpec['flagged'][number]

/** Neighbours together: their middle, their mean and their range. */
function thinned(points: TrendSpec['points']) {
  const size = Math.ceil(points.length / most)
  return Array.from({ length: Math.ceil(points.length / size) }, (_, bucket) => {
    const inside = points.slice(bucket * size, (bucket + 1) * size)
    const values = inside.map((point) => point.y)
    return {
      x: (inside[0]!.x + inside.at(-1)!.x) / 2,
      y: values.reduce((sum, value) => sum + value / values.length, 0),
      low: Math.min(...values),
      high: Math.max(...values),
    }
  })
}

/** Every so many of the items, and the last one. */
const every = <Item>(items: readonly Item[], step: number): Item[] =>
  items.filter((_, index) => index % step === 0 || index === items.length - 1)
