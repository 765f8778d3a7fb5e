// Rows of dots: several variants in one row of a class, or one row a variant with its single values and a line to its
// worst case.
import * as Plot from '@observablehq/plot'
import type { Dot, DotsSpec } from '../blocks.ts'
import { domainOf, fontSize, scaleOf, shorten, xAxis } from './axes.ts'
import { textWidth } from './labels.ts'
import { seriesColor } from './palette.ts'
import { seriesShape } from './shapes.ts'

/** Lays out a plot of rows, `width` CSS pixels wide. */
export function dots({ x, rows, dots: all, reference }: DotsSpec, width: number): Plot.PlotOptions {
  const names = rows.map((row) => shorten(row, 20))
  const values = all.flatMap((dot) => [dot.x, dot.high ?? dot.x, ...(dot.strip ?? [])])
  const domain = domainOf(reference === undefined ? values : [...values, reference], x.scale, 0.06)
  const placeOf = placesInRows(rows, all)
  const mostInRow = Math.max(...rows.map((row) => all.filter((dot) => dot.row === row).length))
  const indices = rows.map((_, index) => index)
  const stroke = ({ series }: Dot) => seriesColor(series)
  return {
    height: rows.length * Math.max(24, mostInRow * 9 + 8) + 56,
    marginTop: 10,
    marginRight: 24,
    marginBottom: 46,
    marginLeft: 16 + Math.max(...names.map((name) => textWidth(name, fontSize))),
    x: scaleOf(x, domain),
    y: { type: 'linear', domain: [rows.length - 0.5, -0.5] },
    marks: [
      Plot.rect(
        indices.filter((index) => index % 2 === 0),
        { y1: (index) => index - 0.5, y2: (index) => index + 0.5, fill: 'var(--band)' },
      ),
      Plot.axisY(indices, {
        tickSize: 0,
        tickFormat: (index: number) => names[index] ?? '',
        label: null,
      }),
      xAxis(x, domain, width),
      ...(reference === undefined
        ? []
        : [Plot.ruleX([reference], { stroke: 'currentColor', strokeOpacity: 0.6 })]),
      ...all.map((dot) =>
        Plot.line(strokesOf(dot, placeOf(dot)), {
          x: 'x',
          y: 'y',
          stroke: stroke(dot),
          strokeWidth: 1,
          strokeOpacity: 0.55,
        }),
      ),
      Plot.ruleY(
        all.filter(({ high }) => high !== undefined),
        {
          y: placeOf,
          x1: 'x',
          x2: 'high',
          stroke,
          strokeWidth: 3,
          strokeOpacity: 0.45,
          title: 'title',
        },
      ),
      Plot.dot(all, {
        ...{ x: 'x', y: placeOf, r: mostInRow > 1 ? 4 : 5, fill: stroke, title: 'title' },
        ...{ symbol: ({ series }: Dot) => seriesShape(series), stroke: 'var(--paper)' },
      }),
    ],
  }
}

// Several dots of one row stand below each other, in the order of their series, so that none hides another.
function placesInRows(rows: readonly string[], all: readonly Dot[]): (dot: Dot) => number {
  const series = [...new Set(all.map((dot) => dot.series))]
  const alone = rows.every((row) => all.filter((dot) => dot.row === row).length <= 1)
  return (dot) =>
    rows.indexOf(dot.row) +
    (alone ? 0 : ((series.indexOf(dot.series) + 1) / (series.length + 1) - 0.5) * 0.9)
}

/** A stroke for each single value, across a part of the row; a gap between two keeps them one path, which is short. */
const strokesOf = ({ strip = [] }: Dot, place: number) =>
  strip.flatMap((x) => [
    { x, y: place - 0.3 },
    { x, y: place + 0.3 },
    { x: Number.NaN, y: Number.NaN },
  ])
