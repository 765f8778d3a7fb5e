// From a comparison to the files that it leaves behind, one row each.
import { renderCsvOfRuns } from '../report/csv.ts'
import { renderPage } from '../report/html.ts'
import { counted, namedTogether } from '../report/judge.ts'
import { renderPageMarkdown } from '../report/markdown.ts'
import type { BuiltSection } from '../report/sections.ts'
import type { Comparison } from './comparison.ts'
import { comparisonSections } from './sections.ts'

const renderers = {
  /** For programs: the models, and the reports that they were taken from. */
  'comparison.json': renderJson,
  /** For a pull request. */
  'comparison.md': ({ models }, sections) =>
    renderPageMarkdown(
      namedTogether(models.map(({ id }) => id)),
      sections,
      'Plots are in comparison.html, the numbers for programs in comparison.json.',
    ),
  /** For people. */
  'comparison.html': ({ runs, models }, sections) =>
    renderPage({
      product: 'Condense comparison',
      name: namedTogether(models.map(({ id }) => id)),
      facts: [counted(models.length, 'model'), counted(runs.length, 'run')],
      sections,
      json: 'comparison.json',
    }),
  /** For spreadsheets. */
  'comparison.csv': renderCsv,
} satisfies Record<string, (comparison: Comparison, sections: readonly BuiltSection[]) => string>

/** The contents of a comparison's files, by name. */
export type RenderedComparison = Readonly<Record<keyof typeof renderers, string>>

/** Renders a comparison of at least two models; the same comparison gives the same bytes. */
export function renderComparison(comparison: Comparison): RenderedComparison {
  const sections = comparisonSections(comparison)
  // The names are those of the table.
  return Object.fromEntries(
    Object.entries(renderers).map(([name, render]) => [name, render(comparison, sections)]),
  ) as RenderedComparison
}

function renderJson({ createdAt, runs, models }: Comparison): string {
  const value = {
    version: 1,
    createdAt,
    models: models.map(({ id, run, variant }) => ({
      ...{ id, run: run?.name ?? null, variant: run ? variant.id : null },
      ...(!run && { file: variant.file, size: sizeOf(variant) }),
    })),
    runs,
  }
  return `${JSON.stringify(value, undefined, 2)}\n`
}

const sizeOf = ({
  sizeBytes,
  gzipBytes,
  brotliBytes,
  parameters,
  nonzeroParameters,
}: Comparison['models'][number]['variant']) => ({
  ...{ sizeBytes, gzipBytes, brotliBytes, parameters, nonzeroParameters },
})

function renderCsv({ runs, models }: Comparison): string {
  const alone = models.filter(({ run }) => !run).map(({ id, variant }) => ({ ...variant, id }))
  return renderCsvOfRuns([
    ...runs.map((run) => ({
      ...{ name: run.name, report: run.report },
      models: models.filter((model) => model.run === run).map(({ variant }) => variant),
    })),
    ...alone.map((file) => ({ name: '', report: { teacher: file, variants: [] }, models: [file] })),
  ])
}
