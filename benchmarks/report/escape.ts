// What every piece of the page is written with.
import { printable } from './format.ts'
import { seriesColor } from './plots/palette.ts'

/** Makes a text safe as the content of an element or of a quoted attribute. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A dot in the colour of a variant. */
export const renderSwatch = (series: number): string =>
  `<span class="swatch" style="background:${seriesColor(series)}" aria-hidden="true"></span>`
