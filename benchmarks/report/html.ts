// One self-contained page: no script, no font, no request. Everything from outside is escaped on its way in. Only a page that
// is served while its run goes on has a script, the one that keeps it up to date.
import { createHash } from 'node:crypto'
import type { Block, Cell, Column, Figure, Mark, Plot, Table } from './blocks.ts'
import { escapeHtml, renderSwatch } from './escape.ts'
import { formatBytes } from './format.ts'
import { counted } from './judge.ts'
import { renderCards } from './plots/cards.ts'
import { drawPlot } from './plots.ts'
import type { Report } from './report.ts'
import { renderSamples } from './samples.ts'
import type { BuiltSection } from './sections.ts'
import { styleSheet } from './style.ts'

/** The widths in CSS pixels for which every plot is drawn: for a window, and for a telephone. */
const plotWidths = { wide: 560, narrow: 328 } as const

/** So many rows are printed on one page. */
const mostTogether = 14

/** Titles of more letters are broken into lines, as names of variants may be. */
const longestTitle = 24

/** Notes below numbers that have more letters are broken into lines. */
const longestNote = 20

/** Names of rows that have more letters get more room. */
const longestRowName = 12

/** Words of a table that are not longer stay in one piece. */
const longestWord = 28

/** Nothing may be loaded or run but a page's own script, whatever a hostile name manages to smuggle in. */
export function policyOf(script?: string): string {
  const policy =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
  if (script === undefined) return policy
  const hash = createHash('sha256').update(script).digest('base64')
  return `${policy}; script-src 'sha256-${hash}'; connect-src 'self'`
}

/** What a page shows besides its sections. */
export interface Page {
  /** What made it, as `Condense report`. */
  readonly product: string
  readonly name: string
  /** What stands below the name, each by itself. */
  readonly facts: readonly string[]
  readonly sections: readonly BuiltSection[]
  /** Where the numbers come from; undefined while there are none. */
  readonly measured?: { readonly at: string; readonly onnxruntime: string; readonly node: string }
  /** The file that has the numbers for programs, where there is one. */
  readonly json?: string
  /** What runs in the page, which is no file then; nothing unless given. */
  readonly script?: string
}

/** Renders the report as an HTML page that opens from disk. */
export const renderHtml = (report: Report, sections: readonly BuiltSection[]): string =>
  renderPage({ ...reportPage(report, sections), json: 'report.json' })

/** What a page of these sections of a report shows. */
export function reportPage(report: Report, sections: readonly BuiltSection[]): Page {
  const { host, data } = report
  return {
    product: 'Condense report',
    name: report.name,
    facts: [
      report.variants.length === 0
        ? 'one model by itself'
        : `${counted(report.variants.length, 'variant')} of one teacher`,
      data.random ? data.source : `${data.source}, ${data.test} test samples`,
      `${host.cpu}, ${counted(host.cores, 'core')}, ${formatBytes(host.memoryBytes)}`,
      `seed ${report.seed}`,
    ],
    sections,
    measured: { at: report.createdAt, ...host },
  }
}

/** Renders a page that opens from disk, or with a script one that is served. */
export function renderPage(page: Page): string {
  const { product, name, facts, sections, script } = page
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyOf(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(name)} – ${escapeHtml(product)}</title>
<style>${styleSheet}</style>
</head>
<body>
<a class="skip" href="#report">Skip to the report</a>
<header>
<p class="product">${escapeHtml(product)}</p>
<h1>${escapeHtml(name)}</h1>
<p class="facts">${facts.map((fact) => `<span>${escapeHtml(fact)}</span>`).join(' ')}</p>
<nav aria-label="Sections"><ul>
${sections.map(({ id, title }) => `<li><a href="#${id}">${escapeHtml(title)}</a></li>`).join('\n')}
</ul></nav>
</header>
<main id="report">
${sections.map(renderSection).join('\n')}
</main>
<footer>${renderFooter(page)}</footer>
${script === undefined ? '' : `<script>${script}</script>\n`}</body>
</html>
`
}

function renderFooter({ measured, json }: Page): string {
  const numbers =
    json === undefined ? '' : `The numbers are also in ${escapeHtml(json)}, for programs.`
  if (!measured) return numbers && `<p>${numbers}</p>`
  return `<p>Measured <time datetime="${escapeHtml(measured.at)}">${escapeHtml(dateOf(measured.at))}</time>
with ONNX Runtime ${escapeHtml(measured.onnxruntime)} on Node ${escapeHtml(measured.node)}.
${numbers}</p>`
}

/** Renders a section of a page. */
export function renderSection({ id, title, intro, blocks }: BuiltSection): string {
  const lines = [
    `<section id="${id}" aria-labelledby="${id}-title">`,
    `<h2 id="${id}-title">${escapeHtml(title)}</h2>`,
    ...(intro ? [`<p class="intro">${escapeHtml(intro)}</p>`] : []),
  ]
  for (let index = 0; index < blocks.length; index++) {
    const block = blocks[index]!
    // Plots in a row share one grid.
    const opens = block.kind === 'plot' && blocks[index - 1]?.kind !== 'plot'
    const closes = block.kind === 'plot' && blocks[index + 1]?.kind !== 'plot'
    if (opens) lines.push('<div class="plots">')
    lines.push(renderBlock(block, `${id}-${index}`))
    if (closes) lines.push('</div>')
  }
  return [...lines, '</section>'].join('\n')
}

function renderBlock(block: Block, id: string): string {
  switch (block.kind) {
    case 'paragraph':
      return `<p>${renderProse(block.text)}</p>`
    case 'statement':
      return `<p class="statement">${escapeHtml(block.text)}</p>`
    case 'figures':
      return `<dl class="figures">\n${block.figures.map(renderFigure).join('\n')}\n</dl>`
    case 'list':
      return `<ul>\n${block.items.map((item) => `<li>${renderProse(item)}</li>`).join('\n')}\n</ul>`
    case 'code':
      return `<figure class="code"><figcaption>${escapeHtml(block.caption)}</figcaption>
<pre tabindex="0"><code>${escapeHtml(block.text)}</code></pre></figure>`
    case 'table':
      return renderTable(block, id)
    case 'plot':
      return renderPlot(block, id)
    case 'samples':
      return renderSamples(block, id)
  }
}

/** A text in which no line ends inside an option's name, as `--ablate`. */
const renderProse = (text: string): string =>
  escapeHtml(text).replace(/--[a-z][a-z-]*/g, '<span class="option">$&</span>')

/** A long name, whose lines end behind its signs if they must. */
const renderLongName = (name: string): string => escapeHtml(name).replace(/[._/]/g, '$&<wbr>')

function renderFigure({ value, label, note, mark }: Figure): string {
  return `<div${classOf(mark)}><dt>${escapeHtml(label)}</dt><dd class="value">${escapeHtml(value)}</dd><dd class="note">${escapeHtml(note)}</dd></div>`
}

function renderTable({ caption, columns, rows }: Table, id: string): string {
  const head = columns.map(
    ({ title, align, unit }) =>
      `<th scope="col" class="${align}${title.length > longestTitle ? ' name' : ''}">${escapeHtml(title)}${unit ? `<small>${escapeHtml(unit)}</small>` : ''}</th>`,
  )
  // The container scrolls, so that a wide table never makes the page wide; a keyboard reaches it too.
  return `<div class="scroll${rows.length > mostTogether ? ' long' : ''}" role="region" tabindex="0" aria-labelledby="${id}">
<table>
<caption><span id="${id}">${escapeHtml(caption)}</span></caption>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${row.map((cell, index) => renderCell(cell, columns[index], index)).join('')}</tr>`).join('\n')}
</tbody>
</table>
</div>`
}

function renderCell(
  { text, note, mark, series, link }: Cell,
  column: Column | undefined,
  index: number,
) {
  const swatch = series === undefined ? '' : renderSwatch(series)
  const isLong = index === 0 && text.length > longestRowName
  const name = isLong ? renderLongName(text) : escapeHtml(text)
  const named = link ? `<a href="${escapeHtml(link)}">${name}</a>` : name
  const quieter = note
    ? `<small${note.length > longestNote ? ' class="long"' : ''}>${escapeHtml(note)}</small>`
    : ''
  const content = `${swatch}${named}${quieter}`
  const isWord = index > 0 && text.length <= longestWord && !text.includes(' ')
  const classes = [
    column?.align ?? 'left',
    ...(isLong ? ['long'] : []),
    ...(isWord && column?.align !== 'right' ? ['word'] : []),
    ...(mark ? [mark] : []),
  ].join(' ')
  return index === 0
    ? `<th scope="row" class="${classes}">${content}</th>`
    : `<td class="${classes}">${content}</td>`
}

function renderPlot({ caption, spec, legend = [] }: Plot, id: string): string {
  const drawn = Object.entries(plotWidths).map(([name, width]) => {
    const cards = spec.plot === 'scatter' ? renderCards(spec, width) : ''
    return `<div class="drawn ${name}">${drawPlot(spec, width, id)}${cards}</div>`
  })
  const keys = legend.map(
    ({ label, series }) => `<li>${renderSwatch(series)}${escapeHtml(label)}</li>`,
  )
  const list = keys.length > 0 ? `<ul class="legend">${keys.join('')}</ul>` : ''
  return `<figure class="plot-figure"><figcaption id="${id}">${escapeHtml(caption)}</figcaption>${list}
${drawn.join('\n')}</figure>`
}

const classOf = (mark: Mark | undefined): string => (mark ? ` class="${mark}"` : '')

const dateOf = (time: string): string =>
  time.replace('T', ' ').replace(/(:\d\d)(:\d\d(\.\d+)?)/, '$1')
