// From what was measured to the three files that a run leaves behind.
import { renderHtml } from './html.ts'
import { renderJson } from './json.ts'
import { renderMarkdown } from './markdown.ts'
import type { Report } from './report.ts'
import { buildSections } from './sections.ts'

/** The contents of the report's files, by name. */
export interface RenderedReport {
  readonly 'report.json': string
  readonly 'report.md': string
  readonly 'report.html': string
}

/** Renders a report for programs, for a pull request and for people; the same report gives the same bytes. */
export function renderReport(report: Report): RenderedReport {
  const sections = buildSections(report)
  return {
    'report.json': renderJson(report),
    'report.md': renderMarkdown(report, sections),
    'report.html': renderHtml(report, sections),
  }
}
