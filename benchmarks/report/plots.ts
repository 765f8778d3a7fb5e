// Draws plot specs as static SVG at build time; colours are CSS variables, so that a page can be light or dark.
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { PlotSpec } from './blocks.ts'
import { printable } from './format.ts'
import { fontSize } from './plots/axes.ts'
import { curves } from './plots/curves.ts'
import { dots } from './plots/dots.ts'
import { scatter } from './plots/scatter.ts'
import { trend } from './plots/trend.ts'

/**
 * Draws a plot as an `<svg>` element, `width` CSS pixels wide, without ids, styles or scripts.
 *
 * `labelledBy` is the id of the element that says what it shows. All text is escaped.
 */
export function drawPlot(spec: PlotSpec, width: number, labelledBy: string): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  // Plot's types speak of the browser's DOM; linkedom's has all that drawing needs.
  const svg = Plot.plot({
    ...layout(spec, width),
    width,
    document,
    className: 'plot',
    color: { type: 'identity' },
  }) as unknown as Svg
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-labelledby', labelledBy)
  svg.setAttribute('font-size', String(fontSize))
  svg.setAttribute('font-family', 'inherit')
  svg.querySelector('style')?.remove()
  return printable(svg.outerHTML)
}

interface Svg {
  readonly outerHTML: string
  setAttribute(name: string, value: string): void
  querySelector(selector: string): { remove(): void } | null
}

function layout(spec: PlotSpec, width: number): Plot.PlotOptions {
  switch (spec.plot) {
    case 'scatter':
      return scatter(spec, width)
    case 'curves':
      return curves(spec, width)
    case 'dots':
      return dots(spec, width)
    case 'trend':
      return trend(spec, width)
  }
}
