// The cards of a scatter plot's points: shown where a point is under the pointer or has the focus, by the style sheet alone.
import type { ScatterSpec } from '../blocks.ts'
import { escapeHtml, renderSwatch } from '../escape.ts'
import { placesOf } from './scatter.ts'

/** What lies over a scatter plot that was drawn `width` CSS pixels wide: a place to point at and a card for each point. */
export function renderCards(spec: ScatterSpec, width: number): string {
  const places = placesOf(spec, width)
  const items = spec.points.map(({ label, series, facts }, index) => {
    const { left, top } = places[index]!
    const name = `${label}: ${facts.map((fact) => `${fact.name} ${fact.value}`).join('; ')}`
    const lines = facts.map(
      (fact) => `<dt>${escapeHtml(fact.name)}</dt><dd>${escapeHtml(fact.value)}</dd>`,
    )
    // The card is kept inside the plot: below points of its upper half, above the others.
    const side = top < 0.5 ? 'below' : 'above'
    const at = `--left:${percent(left)};--top:${percent(top)}`
    return `<li style="${at}"><span class="point" tabindex="0" role="img" aria-label="${escapeHtml(name)}"></span><div class="card ${side}" aria-hidden="true"><p>${renderSwatch(series)}${escapeHtml(label)}</p><dl>${lines.join('')}</dl></div></li>`
  })
  return `<ul class="cards">${items.join('\n')}</ul>`
}

const percent = (share: number): string => `${(share * 100).toFixed(2)}%`
