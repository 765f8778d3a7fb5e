// Points with their intervals and names, and the Pareto front that joins the best of them.
import * as Plot from '@observablehq/plot'
import type { Point, ScatterSpec } from '../blocks.ts'
import { axes, domainOf, fontSize, margins, positionOf, scaleOf, shorten } from './axes.ts'
import { placeLabels } from './labels.ts'
import { seriesColor } from './palette.ts'
import { seriesShape } from './shapes.ts'

/** Where the points of a scatter plot lie that is `width` CSS pixels wide. */
function geometry({ x, y, points }: ScatterSpec, width: number) {
  const height = Math.round(Math.max(280, width * 0.6))
  const xDomain = domainOf(
    points.map((point) => point.x),
    x.scale,
    0.18,
  )
  const yDomain = domainOf(
    points.flatMap(({ low, high }) => [low, high]),
    y.scale,
    0.08,
  )
  const frame = {
    left: margins.marginLeft,
    top: margins.marginTop,
    right: width - margins.marginRight,
    bottom: height - margins.marginBottom,
  }
  const toX = positionOf(x, xDomain, [frame.left, frame.right])
  const toY = positionOf(y, yDomain, [frame.bottom, frame.top])
  return { height, xDomain, yDomain, frame, toX, toY }
}

/** The place of each point as shares of the width and of the height of the plot, from its left upper corner. */
export function placesOf(
  spec: ScatterSpec,
  width: number,
): { readonly left: number; readonly top: number }[] {
  const { height, toX, toY } = geometry(spec, width)
  return spec.points.map(({ x, y }) => ({ left: toX(x) / width, top: toY(y) / height }))
}

/** Lays out a scatter plot, `width` CSS pixels wide. */
export function scatter(spec: ScatterSpec, width: number): Plot.PlotOptions {
  const { x, y, points, names } = spec
  const { height, xDomain, yDomain, frame, toX, toY } = geometry(spec, width)
  const placed = points.map((point) => ({
    ...point,
    text: shorten(point.label),
    left: toX(point.x),
    top: toY(point.y),
  }))
  const obstacles = placed.flatMap(({ left, top, low, high }) => [
    { left: left - 7, right: left + 7, top: top - 7, bottom: top + 7 },
    { left: left - 2, right: left + 2, top: toY(high), bottom: toY(low) },
  ])
  const places = placeLabels(
    placed.map(({ text, left, top }) => ({ text, x: left, y: top })),
    obstacles,
    frame,
    fontSize,
  )
  const front = points.filter(({ onFront }) => onFront).sort((a, b) => a.x - b.x)
  return {
    ...margins,
    height,
    x: scaleOf(x, xDomain),
    y: scaleOf(y, yDomain),
    marks: [
      ...axes(x, xDomain, y, yDomain, width),
      // Between two points of the front the cheaper one is the best that can be had.
      Plot.line(front, {
        x: 'x',
        y: 'y',
        curve: 'step-after',
        stroke: 'var(--quiet)',
        strokeDasharray: '3 3',
      }),
      Plot.ruleX(points, {
        x: 'x',
        y1: 'low',
        y2: 'high',
        stroke: ({ series }) => seriesColor(series),
        strokeWidth: 2,
        strokeOpacity: 0.55,
      }),
      Plot.dot(points, {
        x: 'x',
        y: 'y',
        r: 5.5,
        stroke: ({ series }) => seriesColor(series),
        strokeWidth: 2,
        fill: ({ series, onFront }) => (onFront ? seriesColor(series) : 'var(--paper)'),
        symbol: ({ series }: Point) => seriesShape(series),
      }),
      // The place of a label is a constant of its mark, so each has its own.
      ...placed.flatMap((point, index) => {
        const { dx, dy, anchor, free } = places[index]!
        if (names === 'with-room' && !free) return []
        return Plot.text([point], {
          x: 'x',
          y: 'y',
          dx,
          dy,
          textAnchor: anchor,
          text: 'text',
          title: 'label',
          fill: 'currentColor',
          stroke: 'var(--paper)',
          strokeWidth: 4,
        })
      }),
    ],
  }
}
