// The section on what is left of the teacher's knowledge.
import { describe, expect, it } from '@jest/globals'
import { renderPageMarkdown } from '../../benchmarks/report/markdown.ts'
import { checkReport, type Report } from '../../benchmarks/report/report.ts'
import { buildSections } from '../../benchmarks/report/sections.ts'
import { matchReport, oldReport, reportFixture } from '../support/report-fixture.ts'

const sectionOf = (report: Report) => buildSections(report).find(({ id }) => id === 'knowledge')

/** The section by itself as Markdown; empty where there is none. */
function markdownOf(report: Report): string {
  const section = sectionOf(report)
  if (!section) return ''
  const { inMarkdown: _left, ...shown } = section
  return renderPageMarkdown('', [shown], '')
}

describe("what is left of the teacher's knowledge", () => {
  it('has a row a variant, and says below why a figure is missing', () => {
    const text = markdownOf(reportFixture())
    const row = text.split('\n').find((line) => line.startsWith('| quantize'))!
    expect(row).toContain('98.10')
    expect(row).toContain('of its errors mended')
    expect(row).toMatch(/–<br>see below \|$/)
    expect(text).toContain(
      '- Not measured: FGSM, saliency of quantize: it is quantized: no gradient passes through integers',
    )
    expect(text).toContain('- CKA: how alike')
    expect(text).toContain(
      '- Noise: Gaussian noise, in standard deviations of the input: 0.1, 0.2, 0.4.',
    )
  })

  it('leaves out what no variant has, and says once why', () => {
    const text = markdownOf(matchReport())
    expect(text).not.toContain('Right answers kept |')
    expect(text).not.toContain('on changed samples')
    expect(text).toContain(
      "- Not measured: noise, blur, contrast, FGSM, teacher's FGSM: the data has no input of floats",
    )
    expect(text.match(/no single right class/g)).toHaveLength(1)
    expect(sectionOf(matchReport())!.blocks.some(({ kind }) => kind === 'plot')).toBe(false)
  })

  it('shows the degree of transfer beside the retention of each class, and a reliability diagram', () => {
    const { blocks } = sectionOf(reportFixture())!
    const plots = blocks.flatMap((block) => (block.kind === 'plot' ? [block.spec.plot] : []))
    expect(plots).toEqual(['curves', 'dots'])
    const table = blocks.find(
      (block) => block.kind === 'table' && block.columns[0]!.title === 'Class',
    )
    expect(table).toMatchObject({ rows: expect.arrayContaining([expect.any(Array)]) })
    expect(markdownOf(reportFixture())).toMatch(/\| 8 \| 98\.48.%<br>98\.48.% \|/)
  })

  it('is absent from reports that know nothing of it, and from those of a teacher alone', () => {
    const old = oldReport()
    expect(checkReport(old)).toEqual(old)
    expect(sectionOf(old)).toBeUndefined()
    expect(sectionOf({ ...reportFixture(), variants: [] })).toBeUndefined()
  })

  it('refuses numbers that are none', () => {
    const report = reportFixture()
    const saliency = { cosine: 1.5, overlap: 0 }
    const teacher = { ...report.teacher, knowledge: { ...report.teacher.knowledge!, saliency } }
    expect(() => checkReport({ ...report, teacher })).toThrow(
      /teacher\.knowledge\.saliency\.cosine/,
    )
  })
})
