// What comparing variants shows, and where the report says it.
import { describe, expect, it } from '@jest/globals'
import { adviceLines, outcomeOf, uselessTeachers } from '../../benchmarks/report/advice.ts'
import { renderReport } from '../../benchmarks/report/render.ts'
import { checkReport, type Variant } from '../../benchmarks/report/report.ts'
import { reportFixture } from '../support/report-fixture.ts'

const fixture = reportFixture()
const base = fixture.variants[0]!
const variant = (id: string, right: number, against?: Variant['against']): Variant => ({
  ...base,
  id,
  accuracy: { metric: 'top1', value: right, interval: [right - 0.01, right + 0.01] },
  ...(against && { against }),
})
const rival = (difference: number, p: number | null) => ({
  plain: { difference, p, agreement: 0.9, klDivergence: 0.1 },
})
const plain = variant('plain', 0.9)
const pairs = [{ taught: 'taught', plain: 'plain' }]

describe('a student with a teacher and one without', () => {
  it.each([
    ['better', 0.92, 0.001, /^$/],
    [
      'same',
      0.905,
      0.3,
      /^'taught' is not better than 'plain', .*: accuracy 90\.50.* against 90\.00.*, p = 0\.30 — /,
    ],
    ['worse', 0.88, 0.01, /^'taught' is worse than 'plain', .*p = 0\.01 — /],
    // Without a test the intervals decide.
    ['better', 0.93, null, /^$/],
    ['same', 0.91, null, /^'taught' is not better than 'plain', .* against 90\.00[^,]*\) — /],
    ['worse', 0.87, null, /^'taught' is worse than 'plain'/],
  ] as const)('is %s at %s with p %s', (outcome, value, p, line) => {
    const taught = variant('taught', value, rival(value - 0.9, p))
    expect(outcomeOf(taught, plain)).toBe(outcome)
    expect(uselessTeachers([plain, taught], pairs).join()).toMatch(line)
  })

  it('is not judged where one was not measured', () => {
    const failed = { ...variant('taught', 0.9), accuracy: null }
    expect(uselessTeachers([plain, failed], pairs)).toEqual([])
    expect(uselessTeachers([plain], pairs)).toEqual([])
  })
})

describe('the report', () => {
  const advised = {
    ...fixture,
    advice: ['all <b>alike</b>'],
    variants: fixture.variants.map((one, index) =>
      index === 0 ? { ...one, advice: ['too hot'], against: rival(0.1, null) } : one,
    ),
  }

  it('lists advice, with the variant that it is about', () => {
    expect(adviceLines(advised)).toEqual([`${base.id}: too hot`, 'all <b>alike</b>'])
    expect(checkReport(JSON.parse(JSON.stringify(advised)))).toMatchObject({
      advice: advised.advice,
    })
    const rendered = renderReport(advised)
    expect(rendered['report.md']).toContain(`## Advice`)
    expect(rendered['report.md']).toContain(`- ${base.id}: too hot\n- all &lt;b&gt;alike`)
    expect(rendered['report.html']).toContain(`${base.id}: too hot`)
    expect(rendered['report.html']).not.toContain('<b>alike')
  })

  it('has no section of advice where there is none', () => {
    const rendered = renderReport({ ...fixture, advice: undefined })
    expect(rendered['report.md']).not.toContain('## Advice')
    expect(rendered['report.html']).not.toContain('Advice')
  })
})
