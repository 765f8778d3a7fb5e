// Axes, their domains and their ticks, the same for every plot.
import * as Plot from '@observablehq/plot'
import type { Axis } from '../blocks.ts'

/** The size of all text in a plot, CSS pixels. */
export const fontSize = 12

/** The smallest and the largest value of an axis. */
export type Domain = readonly [low: number, high: number]

/** The margins of a plot with a vertical axis of numbers, CSS pixels. */
export const margins = { marginTop: 30, marginRight: 20, marginBottom: 46, marginLeft: 58 } as const

/** The range of the values, a share `margin` wider at both ends, and never empty. */
export function domainOf(values: readonly number[], scale: Axis['scale'], margin: number): Domain {
  if (scale !== 'log') return widen(spread(values, 0.01), margin)
  const [low, high] = widen(spread(values.map(Math.log10), 0.3), margin)
  return [10 ** low, 10 ** high]
}

/** The range of the values, at least `least` wide. */
export function spread(values: readonly number[], least: number): Domain {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const lacking = Math.max(0, least - (high - low)) / 2
  return [low - lacking, high + lacking]
}

/** A horizontal axis below the plot, and a vertical one with grid lines. */
export function axes(x: Axis, xDomain: Domain, y: Axis, yDomain: Domain, width: number) {
  const ticks = ticksOf[y.scale](yDomain, y.scale === 'log' ? 9 : 6)
  return [
    Plot.gridY({ ticks, stroke: 'var(--line)', strokeOpacity: 1 }),
    Plot.axisY({
      ticks,
      tickSize: 0,
      tickFormat: tickFormat(y),
      label: y.label,
      labelArrow: 'none',
      labelAnchor: 'top',
      fill: 'var(--quiet)',
    }),
    xAxis(x, xDomain, width),
  ]
}

/** A horizontal axis below the plot, its label in the middle. */
export function xAxis(x: Axis, domain: Domain, width: number) {
  // A label takes about 56 pixels; the margins take some of the width.
  const most = Math.floor((width - 78) / 56)
  return Plot.axisX({
    ticks: ticksOf[x.scale](domain, most),
    tickSize: 4,
    tickFormat: tickFormat(x),
    label: x.label,
    labelArrow: 'none',
    labelAnchor: 'center',
    labelOffset: 42,
    color: 'var(--quiet)',
  })
}

/** The scale of an axis as Plot knows it. */
export function scaleOf({ scale }: Axis, domain: Domain): Plot.ScaleOptions {
  return { type: scale === 'log' ? 'log' : 'linear', domain }
}

/** Where a value lies between the ends of `range`, in CSS pixels. */
export function positionOf(axis: Axis, domain: Domain, range: Domain): (value: number) => number {
  const { apply } = Plot.scale({ x: { ...scaleOf(axis, domain), range } })
  return (value) => apply(value) as number
}

/** A name that fits beside a plot; marks carry the whole one as their title. */
export function shorten(text: string, longest = 26): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}

function widen([low, high]: Domain, margin: number): Domain {
  return [low - (high - low) * margin, high + (high - low) * margin]
}

/** What stands at a tick: nothing where its neighbour rounds to the same. */
function tickFormat({ scale, format }: Axis) {
  // On logarithmic axes each tick has its own size, so zeros at its end say nothing.
  const label = (value: number): string =>
    scale === 'log'
      ? format(value)
          .replace(/(\.\d*?)0+(?!\d)/, '$1')
          .replace(/\.(?!\d)/, '')
      : format(value)
  // Plot asks for the ticks in their order.
  let before: string | undefined
  return (value: number, index: number): string => {
    const text = label(value)
    const isRepeated = index > 0 && text === before
    before = text
    return isRepeated ? '' : text
  }
}

// Whole powers of ten, with more between them while no two are closer than one of `most` equal parts.
function logTicks([low, high]: Domain, most: number): number[] {
  const from = Math.floor(Math.log10(low))
  const powers = Array.from({ length: Math.ceil(Math.log10(high)) - from + 1 }, (_, i) => from + i)
  const inside = (steps: readonly number[]) =>
    powers
      .flatMap((power) => steps.map((step) => Number(`${step}e${power}`)))
      .filter((tick) => tick >= low && tick <= high)
  const gap = (high / low) ** (1 / most)
  const roomy = (ticks: readonly number[]) =>
    ticks.every((tick, index) => index === 0 || tick / ticks[index - 1]! >= gap)
  const choices = [
    [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 5, 7],
    [1, 2, 3, 5],
    [1, 2, 5],
    [1, 3],
    [1],
  ]
  return choices.map(inside).find(roomy) ?? everyNth(inside([1]), most)
}

const ticksOf = {
  // Plot takes the number as a hint and may draw a third more.
  linear: (_domain: Domain, most: number) => Math.ceil(most * 0.7),
  log: logTicks,
  whole: wholeTicks,
} as const satisfies Record<Axis['scale'], (domain: Domain, most: number) => number | number[]>

function everyNth(ticks: readonly number[], most: number): number[] {
  const step = Math.ceil(ticks.length / most)
  return ticks.filter((_, index) => index % step === 0)
}

function wholeTicks([low, high]: Domain, most: number): number[] {
  const first = Math.ceil(low)
  const count = Math.floor(high) - first + 1
  return everyNth(
    Array.from({ length: count }, (_, index) => first + index),
    most,
  )
}
