// What every piece of the page is written with.
import { printable } from './format.ts'
import { seriesColor } from './plots/palette.ts'
import { shapeElement } from './plots/shapes.ts'

/** Makes a text safe as the content of an element or of a quoted attribute. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A point in the colour and the shape of a variant. */
export const renderSwatch = (series: number): string =>
  `<svg class="swatch" viewBox="-1.5 -1.5 3 3" aria-hidden="true">${shapeElement(series, seriesColor(series))}</svg>`
