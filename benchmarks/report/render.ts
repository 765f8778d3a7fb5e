// From what was measured to the files that a run leaves behind, one row each.
import { renderCsv } from './csv.ts'
import { renderHtml } from './html.ts'
import { renderJson } from './json.ts'
import { renderJunit } from './junit.ts'
import { renderMarkdown } from './markdown.ts'
import type { Report } from './report.ts'
import { type BuiltSection, buildSections } from './sections.ts'

const renderers = {
  /** For programs. */
  'report.json': renderJson,
  /** For a pull request. */
  'report.md': renderMarkdown,
  /** For people. */
  'report.html': renderHtml,
  /** For spreadsheets. */
  'report.csv': renderCsv,
  /** For continuous integration. */
  'report.junit.xml': renderJunit,
} satisfies Record<string, (report: Report, sections: readonly BuiltSection[]) => string>

/** The contents of the report's files, by name. */
export type RenderedReport = Readonly<Record<keyof typeof renderers, string>>

/** Renders a report for every kind of reader; the same report gives the same bytes. */
export function renderReport(report: Report): RenderedReport {
  const sections = buildSections(report)
  // The names are those of the table.
  return Object.fromEntries(
    Object.entries(renderers).map(([name, render]) => [name, render(report, sections)]),
  ) as RenderedReport
}
