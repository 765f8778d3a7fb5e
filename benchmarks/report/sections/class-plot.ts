// A share of the teacher's by class and variant, as a plot of dots with the teacher at 1.
import type { Block, Dot } from '../blocks.ts'
import { formatPercent } from '../format.ts'
import type { Report, Variant } from '../report.ts'
import { legendOf, seriesOf } from './cells.ts'

/** More rows than this do not fit on a screen; the classes that lost most are shown then. */
const shownClasses = 20

/** What is plotted. */
export interface ClassShares {
  readonly variants: readonly Variant[]
  /** The shares of a variant by the name of the class. */
  readonly sharesOf: (variant: Variant) => readonly (readonly [name: string, value: number])[]
  /** The caption, given which classes are shown. */
  readonly caption: (which: string) => string
  readonly label: string
}

/** The plot, and the classes that it shows in their order. */
export function classPlot(
  report: Report,
  { variants, sharesOf, caption, label }: ClassShares,
): { readonly plot: Block; readonly shown: readonly string[] } {
  const worst = new Map<string, number>()
  for (const variant of variants)
    for (const [name, value] of sharesOf(variant))
      worst.set(name, Math.min(worst.get(name) ?? value, value))
  const names = [...worst.keys()]
  const order = new Map((report.classes ?? names).map((name, index) => [name, index]))
  const placeOf = (name: string) => order.get(name) ?? order.size
  const shown = [...names]
    .sort((a, b) => worst.get(a)! - worst.get(b)!)
    .slice(0, shownClasses)
    .sort((a, b) => placeOf(a) - placeOf(b))
  const kept = new Set(shown)
  const which =
    shown.length < names.length
      ? `the ${shown.length} of ${names.length} classes that lost most`
      : `all ${names.length} classes`
  const dots = variants.flatMap((variant): Dot[] =>
    sharesOf(variant)
      .filter(([name]) => kept.has(name))
      .map(([name, value]) => ({
        row: name,
        title: `${variant.id}, class ${name}: ${formatPercent(value)}`,
        series: seriesOf(report, variant),
        x: value,
      })),
  )
  return {
    shown,
    plot: {
      kind: 'plot',
      caption: caption(which),
      spec: {
        plot: 'dots',
        x: { label, format: (value) => formatPercent(value, 1), scale: 'linear' },
        rows: shown,
        dots,
        reference: 1,
      },
      legend: legendOf(report, variants),
    },
  }
}
