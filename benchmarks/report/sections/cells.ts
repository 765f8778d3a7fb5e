// Cells and legends that several sections share: a variant keeps its colour through the whole report.
import type { Cell } from '../blocks.ts'
import { everyVariant } from '../judge.ts'
import type { Report, Variant } from '../report.ts'

/** The number of a variant in the report, 0 for the teacher, which chooses its colour. */
export function seriesOf(report: Report, variant: Variant): number {
  return everyVariant(report).indexOf(variant)
}

/** The cell that names a row by its variant. */
export function variantCell(report: Report, variant: Variant, note?: string): Cell {
  return {
    text: variant.id,
    series: seriesOf(report, variant),
    ...(note !== undefined && { note }),
  }
}

/** Names and colours of variants. */
export function legendOf(
  report: Report,
  variants: readonly Variant[],
): { readonly label: string; readonly series: number }[] {
  return variants.map((variant) => ({ label: variant.id, series: seriesOf(report, variant) }))
}

/** What stands for a number that was not measured. */
export const missing: Cell = { text: '–', mark: 'muted' }

/** The `✓` or `✗` cell of something that holds or does not. */
export function passedCell(passed: boolean): Cell {
  return passed ? { text: '✓ passed', mark: 'good' } : { text: '✗ failed', mark: 'bad' }
}
