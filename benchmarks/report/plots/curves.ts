// Lines over a common horizontal axis; solid ones have a dot at every point.
import * as Plot from '@observablehq/plot'
import type { CurvesSpec } from '../blocks.ts'
import { axes, domainOf, margins, scaleOf, spread } from './axes.ts'
import { seriesColor } from './palette.ts'
import { seriesShape } from './shapes.ts'

/** Lays out a plot of curves, `width` CSS pixels wide. */
export function curves({ x, y, curves: lines }: CurvesSpec, width: number): Plot.PlotOptions {
  const all = lines.flatMap(({ points }) => points)
  const xDomain = spread(
    all.map((point) => point.x),
    x.scale === 'whole' ? 1 : 0.01,
  )
  const yDomain = domainOf(
    all.map((point) => point.y),
    y.scale,
    0.08,
  )
  return {
    ...margins,
    height: Math.round(Math.max(240, width * 0.5)),
    x: scaleOf(x, xDomain),
    y: scaleOf(y, yDomain),
    marks: [
      ...axes(x, xDomain, y, yDomain, width),
      ...lines.flatMap(({ label, series, dashed, points }) => {
        const stroke = seriesColor(series)
        const title = (point: { readonly x: number; readonly y: number }) =>
          `${label}, ${x.label.toLowerCase()} ${x.format(point.x)}: ${y.format(point.y)}`
        return [
          Plot.line(points, {
            x: 'x',
            y: 'y',
            stroke,
            strokeWidth: dashed ? 1.5 : 2,
            title: () => label,
            ...(dashed && { strokeDasharray: '4 3', strokeOpacity: 0.7 }),
          }),
          ...(dashed
            ? []
            : [
                Plot.dot(points, {
                  ...{ x: 'x', y: 'y', r: 3, fill: stroke, title },
                  symbol: seriesShape(series),
                }),
              ]),
        ]
      }),
    ],
  }
}
