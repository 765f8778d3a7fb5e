// The report for a pull request: GitHub's Markdown, short, without plots. Everything from outside is escaped.
import type { Block, Cell, Figure, Table } from './blocks.ts'
import { printable } from './format.ts'
import type { Report } from './report.ts'
import type { BuiltSection } from './sections.ts'

/** Longer code is left to the page. */
const longestCode = 1000

/** More rows of a table are left to the page. */
const mostRows = 30

/** Renders the report as Markdown: what decides is shown, some of the rest is folded, all else is left to report.html. */
export const renderMarkdown = (report: Report, sections: readonly BuiltSection[]): string =>
  renderPageMarkdown(
    report.name,
    sections,
    'Plots, latencies, layers and all else are in report.html, the numbers for programs in report.json.',
  )

/** Renders sections below a name as Markdown, without plots; `last` says where they are. */
export function renderPageMarkdown(
  name: string,
  sections: readonly BuiltSection[],
  last: string,
): string {
  const rendered = sections
    .filter(({ inMarkdown }) => inMarkdown !== 'absent')
    .flatMap(({ title, intro, inMarkdown, blocks }) => {
      const parts = blocks.map(renderBlock).filter((part) => part !== undefined)
      if (parts.length === 0) return []
      const body = [...(intro ? [escapeMarkdown(intro)] : []), ...parts]
      return inMarkdown === 'folded'
        ? [folded(title, body.join('\n\n'))]
        : [`## ${escapeMarkdown(title)}`, ...body]
    })
  return `${[`# ${escapeMarkdown(name)}`, ...rendered, last].join('\n\n')}\n`
}

/** What opens on demand; GitHub wants empty lines around Markdown inside. */
const folded = (summary: string, body: string): string =>
  `<details><summary>${escapeMarkdown(summary)}</summary>\n\n${body}\n\n</details>`

/** Makes a text show as it is, inside a table cell too: no markup, no HTML, no mention of a user. */
export function escapeMarkdown(text: string): string {
  return printable(text)
    .replace(/\s+/g, (spaces) => (spaces.includes('\n') ? ' ' : spaces))
    .replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? '')
    .replace(/[\\`*_{}[\]|~#$]/g, '\\$&')
    .replace(/^([-+]|\d+(?=[.)]\s))/, (start) => (/\d/.test(start) ? `${start}\\` : `\\${start}`))
    .replace(/@|:\/\/|www\./gi, '$&\u200b')
}

function renderBlock(block: Block): string | undefined {
  switch (block.kind) {
    case 'paragraph':
      return escapeMarkdown(block.text)
    case 'statement':
      return `**${escapeMarkdown(block.text)}**`
    case 'figures':
      return block.figures.map(renderFigure).join('\n')
    case 'list':
      return block.items.map((item) => `- ${escapeMarkdown(item)}`).join('\n')
    case 'code': {
      if (block.text.length > longestCode) return undefined
      const fence = fenceFor(block.text)
      const code = `${fence}${block.language}\n${block.text.replace(/\n?$/, '\n')}${fence}`
      return `${escapeMarkdown(block.caption)}:\n\n${code}`
    }
    case 'table':
      return renderTable(block)
    case 'plot':
    case 'samples':
      return undefined
  }
}

function renderFigure({ value, label, note }: Figure): string {
  return `- **${escapeMarkdown(value)}** ${escapeMarkdown(label)} (${escapeMarkdown(note)})`
}

function renderTable({ caption, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `**${escapeMarkdown(caption)}**`,
    '',
    line(columns.map(({ title, unit }) => escapeMarkdown(unit ? `${title} (${unit})` : title))),
    line(columns.map(({ align }) => (align === 'right' ? '---:' : ':---'))),
    ...rows.slice(0, mostRows).map((row) => line(row.map(renderCell))),
    ...(rows.length > mostRows ? ['', `and ${rows.length - mostRows} more rows`] : []),
  ].join('\n')
}

function renderCell({ text, note, mark }: Cell): string {
  const shown = mark === 'bad' ? `**${escapeMarkdown(text)}**` : escapeMarkdown(text)
  return note ? `${shown}<br>${escapeMarkdown(note)}` : shown
}

// A fence must be longer than any inside.
function fenceFor(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  return '`'.repeat(Math.max(3, longest + 1))
}
