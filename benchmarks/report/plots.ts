// Draws plot specs as static SVG at build time; colours are CSS variables, so that a page can be light or dark.
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Axis, Dot, PlotSpec } from './blocks.ts'
import { placeLabels, textWidth } from './labels.ts'
import { seriesColor } from './palette.ts'

const fontSize = 12
const longestLabel = 26

type Spec<Kind extends PlotSpec['plot']> = Extract<PlotSpec, { plot: Kind }>

/**
 * Draws a plot as an `<svg>` element, `width` CSS pixels wide, without ids, styles or scripts.
 *
 * `description` is what a screen reader says of it. All text is escaped.
 */
export function drawPlot(spec: PlotSpec, width: number, description: string): string {
  const options = optionsOf(spec, width)
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  // Plot knows only the browser's DOM; linkedom's has all that drawing needs.
  const svg = Plot.plot({ ...options, width, document, className: 'plot' }) as unknown as {
    readonly outerHTML: string
    setAttribute(name: string, value: string): void
    querySelector(selector: string): { remove(): void } | null
  }
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', description)
  svg.setAttribute('font-size', String(fontSize))
  svg.setAttribute('font-family', 'inherit')
  svg.querySelector('style')?.remove()
  return svg.outerHTML
}

function optionsOf(spec: PlotSpec, width: number): Plot.PlotOptions {
  if (spec.plot === 'scatter') return scatter(spec, width)
  return spec.plot === 'curves' ? curves(spec, width) : dots(spec, width)
}

function scatter({ x, y, points }: Spec<'scatter'>, width: number): Plot.PlotOptions {
  const height = Math.round(Math.max(280, width * 0.6))
  const margins = { marginTop: 34, marginRight: 20, marginBottom: 46, marginLeft: 58 }
  const xDomain = domainOf(
    points.map((point) => point.x),
    x.scale,
    0.12,
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
    x: { type: x.scale, domain: xDomain },
    y: { type: y.scale, domain: yDomain },
    marks: [
      ...axes(x, xDomain, y, yDomain, width),
      // Between two points of the front the cheaper one is the best that can be had.
      Plot.line(front, {
        x: 'x',
        y: 'y',
        curve: 'step-after',
        stroke: 'var(--quiet)',
        strokeDasharray: '3 3',
        title: () => 'Pareto front',
      }),
      Plot.ruleX(points, {
        x: 'x',
        y1: 'low',
        y2: 'high',
        stroke: (point) => seriesColor(point.series),
        strokeWidth: 2,
        strokeOpacity: 0.55,
        title: 'title',
      }),
      Plot.dot(points, {
        x: 'x',
        y: 'y',
        r: 5.5,
        stroke: (point) => seriesColor(point.series),
        strokeWidth: 2,
        fill: (point) => (point.onFront ? seriesColor(point.series) : 'var(--paper)'),
        title: 'title',
      }),
      ...placed.map((point, index) => {
        const { dx, dy, anchor } = places[index]!
        return Plot.text([point], {
          x: 'x',
          y: 'y',
          dx,
          dy,
          textAnchor: anchor,
          text: 'text',
          title: 'title',
          fill: 'currentColor',
          stroke: 'var(--paper)',
          strokeWidth: 4,
        })
      }),
    ],
    color: { type: 'identity' },
  }
}

function curves({ x, y, curves: lines }: Spec<'curves'>, width: number): Plot.PlotOptions {
  const all = lines.flatMap(({ points }) => points)
  const xDomain = spread(
    all.map((point) => point.x),
    1,
  )
  const yDomain = domainOf(
    all.map((point) => point.y),
    y.scale,
    0.08,
  )
  return {
    height: Math.round(Math.max(240, width * 0.5)),
    marginTop: 34,
    marginRight: 20,
    marginBottom: 46,
    marginLeft: 58,
    x: { type: x.scale, domain: xDomain },
    y: { type: y.scale, domain: yDomain },
    marks: [
      ...axes(x, xDomain, y, yDomain, width, wholeTicks(xDomain)),
      ...lines.flatMap(({ label, series, dashed, points }) => {
        const title = (point: { x: number; y: number }) =>
          `${label}, ${x.label.toLowerCase()} ${x.format(point.x)}: ${y.format(point.y)}`
        const stroke = seriesColor(series)
        return [
          Plot.line(points, {
            x: 'x',
            y: 'y',
            stroke,
            strokeWidth: dashed ? 1.5 : 2,
            title: () => label,
            ...(dashed && { strokeDasharray: '4 3', strokeOpacity: 0.7 }),
          }),
          ...(dashed ? [] : [Plot.dot(points, { x: 'x', y: 'y', r: 3, fill: stroke, title })]),
        ]
      }),
    ],
    color: { type: 'identity' },
  }
}

function dots({ x, rows, dots: all, reference }: Spec<'dots'>, width: number): Plot.PlotOptions {
  const names = rows.map((row) => shorten(row, 20))
  const series = [...new Set(all.map((dot) => dot.series))]
  const ranged = all.some(({ high }) => high !== undefined)
  const domain = domainOf(
    [
      ...all.flatMap((dot) => [dot.x, dot.high ?? dot.x]),
      ...(reference === undefined ? [] : [reference]),
    ],
    x.scale,
    0.06,
  )
  // Several variants in one row stand below each other, so that none hides another.
  const perRow = ranged ? 1 : series.length
  const rowOf = ({ row, series: own }: Dot) =>
    rows.indexOf(row) + (ranged ? 0 : ((series.indexOf(own) + 1) / (perRow + 1) - 0.5) * 0.9)
  const rowHeight = ranged ? 26 : Math.max(22, perRow * 8 + 6)
  const bands = rows.map((_, index) => index).filter((index) => index % 2 === 0)
  return {
    height: rows.length * rowHeight + 56,
    marginTop: 10,
    marginRight: 24,
    marginBottom: 46,
    marginLeft: 16 + Math.max(...names.map((name) => textWidth(name, fontSize))),
    x: { type: x.scale, domain },
    y: { type: 'linear', domain: [rows.length - 0.5, -0.5] },
    marks: [
      Plot.rect(bands, {
        y1: (index) => index - 0.5,
        y2: (index) => index + 0.5,
        fill: 'var(--band)',
      }),
      Plot.axisY(
        rows.map((_, index) => index),
        { tickSize: 0, tickFormat: (index: number) => names[index] ?? '', label: null },
      ),
      ...xAxis(x, domain, width),
      ...(reference === undefined
        ? []
        : [Plot.ruleX([reference], { stroke: 'currentColor', strokeOpacity: 0.6 })]),
      Plot.ruleY(
        all.filter(({ high }) => high !== undefined),
        {
          y: rowOf,
          x1: 'x',
          x2: 'high',
          stroke: (dot: Dot) => seriesColor(dot.series),
          strokeWidth: 3,
          strokeOpacity: 0.45,
          title: 'title',
        },
      ),
      Plot.dot(all, {
        x: 'x',
        y: rowOf,
        r: ranged ? 5 : 4,
        fill: (dot: Dot) => seriesColor(dot.series),
        title: 'title',
      }),
    ],
    color: { type: 'identity' },
  }
}

type Domain = readonly [low: number, high: number]

function axes(
  x: Axis,
  xDomain: Domain,
  y: Axis,
  yDomain: Domain,
  width: number,
  xTicks?: number[],
): Plot.Markish[] {
  const ticks = y.scale === 'log' ? logTicks(yDomain, 6) : 6
  return [
    Plot.gridY({ ticks, stroke: 'var(--line)', strokeOpacity: 1 }),
    Plot.axisY({
      ticks,
      tickSize: 0,
      tickFormat: y.format,
      label: y.label,
      labelArrow: 'none',
      labelAnchor: 'top',
      fill: 'var(--quiet)',
    }),
    ...xAxis(x, xDomain, width, xTicks),
  ]
}

function xAxis(x: Axis, domain: Domain, width: number, ticks?: number[]): Plot.Markish[] {
  const most = Math.floor(width / 80)
  return [
    Plot.axisX({
      ticks: ticks ?? (x.scale === 'log' ? logTicks(domain, most) : most),
      tickSize: 4,
      tickFormat: x.format,
      label: x.label,
      labelArrow: 'none',
      labelAnchor: 'center',
      labelOffset: 42,
      color: 'var(--quiet)',
    }),
  ]
}

// Whole powers of ten, with 2 and 5 (or 3) between them while there is room.
function logTicks([low, high]: Domain, most: number): number[] {
  const from = Math.floor(Math.log10(low))
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - from + 1 }, (_, i) => from + i)
  const inside = (steps: readonly number[]) =>
    powers
      .flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
      .filter((tick) => tick >= low && tick <= high)
  const choices = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map(
    inside,
  )
  return choices.find((ticks) => ticks.length <= most) ?? inside([1])
}

function wholeTicks([low, high]: Domain): number[] {
  const step = Math.max(1, Math.ceil((high - low) / 8))
  return Array.from(
    { length: Math.floor((high - Math.ceil(low)) / step) + 1 },
    (_, i) => Math.ceil(low) + i * step,
  )
}

// The range of the values, a little wider, and never empty.
function domainOf(values: readonly number[], scale: Axis['scale'], margin: number): Domain {
  if (scale === 'linear') {
    const [low, high] = spread(values, 0.01)
    return [low - (high - low) * margin, high + (high - low) * margin]
  }
  const [low, high] = spread(values.map(Math.log10), 0.3)
  return [10 ** (low - (high - low) * margin), 10 ** (high + (high - low) * margin)]
}

function spread(values: readonly number[], least: number): Domain {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const missing = Math.max(0, least - (high - low)) / 2
  return [low - missing, high + missing]
}

function positionOf(axis: Axis, domain: Domain, range: Domain): (value: number) => number {
  const { apply } = Plot.scale({ x: { type: axis.scale, domain, range } })
  return (value) => apply(value) as number
}

const shorten = (text: string, longest = longestLabel): string =>
  text.length > longest ? `${text.slice(0, longest - 1)}…` : text
