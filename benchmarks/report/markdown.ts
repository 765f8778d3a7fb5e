// The report for a pull request: GitHub's Markdown, without plots. Everything from outside is escaped.
import type { Block, Cell, Figure, Table } from './blocks.ts'
import { printable } from './format.ts'
import type { Report } from './report.ts'
import type { BuiltSection } from './sections.ts'

/** Renders the report as Markdown; plots are left to report.html. */
export const renderMarkdown = (report: Report, sections: readonly BuiltSection[]): string =>
  renderPageMarkdown(
    report.name,
    sections,
    'The plots are in report.html, the numbers for programs in report.json.',
  )

/** Renders sections below a name as Markdown, without plots; `last` says where they are. */
export function renderPageMarkdown(
  name: string,
  sections: readonly BuiltSection[],
  last: string,
): string {
  const rendered = sections.flatMap(({ title, intro, blocks }) => {
    const parts = blocks.map(renderBlock).filter((part) => part !== undefined)
    if (parts.length === 0) return []
    const head = [`## ${escapeMarkdown(title)}`, ...(intro ? [escapeMarkdown(intro)] : [])]
    return [...head, ...parts]
  })
  return `${[`# ${escapeMarkdown(name)}`, ...rendered, last].join('\n\n')}\n`
}

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
      const fence = fenceFor(block.text)
      const code = `${fence}${block.language}\n${block.text.replace(/\n?$/, '\n')}${fence}`
      return `<details><summary>${escapeMarkdown(block.caption)}</summary>\n\n${code}\n\n</details>`
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
    ...rows.map((row) => line(row.map(renderCell))),
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
