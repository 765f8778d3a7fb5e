// Samples of the data on the page: pictures, sounds and texts beside what models say of them.
import type { Samples, ShownSample } from './blocks.ts'
import { escapeHtml, renderSwatch } from './escape.ts'

/** The longer edge of a picture on the page, CSS pixels; smaller ones are enlarged without smoothing. */
const shownEdge = 84

/** Renders samples as a list of cards. */
export function renderSamples({ caption, samples }: Samples, id: string): string {
  return `<p class="samples-title" id="${id}">${escapeHtml(caption)}</p>
<ul class="samples" aria-labelledby="${id}">
${samples.map(renderSample).join('\n')}
</ul>`
}

function renderSample({ title, name, texts, image, sound, answers }: ShownSample): string {
  const parts = [
    ...(image ? [renderImage(image, name)] : []),
    ...(sound ? [renderSound(sound, name)] : []),
    ...texts.map((text) => `<blockquote>${escapeHtml(text)}</blockquote>`),
  ]
  const lines = answers.map(
    ({ who, series, answer }) =>
      `<li>${series === undefined ? '' : renderSwatch(series)}${escapeHtml(who)}: ${escapeHtml(answer)}</li>`,
  )
  const classes = texts.length > 0 ? ' class="wordy"' : ''
  return `<li${classes}><p class="sample-class">${escapeHtml(title)}</p>${parts.join('')}<ul>${lines.join('')}</ul></li>`
}

function renderImage(
  { source, width, height }: NonNullable<ShownSample['image']>,
  name: string,
): string {
  const scale = shownEdge / Math.max(width, height)
  const shown = (edge: number) => Math.max(1, Math.round(edge * scale))
  const pixelated = scale > 1 ? ' class="pixelated"' : ''
  return `<img src="${escapeHtml(source)}" alt="${escapeHtml(name)}" width="${shown(width)}" height="${shown(height)}"${pixelated}>`
}

function renderSound(
  { source, seconds, peaks }: NonNullable<ShownSample['sound']>,
  name: string,
): string {
  const largest = Math.max(1e-6, ...peaks)
  const bars = peaks.map((peak, at) => {
    const half = Math.max(0.5, (peak / largest) * 15)
    return `M${at * 2 + 1},${(16 - half).toFixed(1)}V${(16 + half).toFixed(1)}`
  })
  const label = escapeHtml(`${name}, ${seconds.toFixed(1)} seconds of sound`)
  const wave = `<svg class="wave" viewBox="0 0 ${peaks.length * 2 + 1} 32" preserveAspectRatio="none" role="img" aria-label="${label}"><path d="${bars.join('')}" stroke="currentColor"/></svg>`
  const player = source
    ? `<audio controls preload="none" src="${escapeHtml(source)}" aria-label="${label}"></audio>`
    : ''
  return wave + player
}
