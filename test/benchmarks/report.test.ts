import { describe, expect, it } from '@jest/globals'
import { checkReport, type Report } from '../../benchmarks/report/report.ts'
import { hostileReport, reportFixture } from '../support/report-fixture.ts'

const report = reportFixture()

describe('checkReport', () => {
  it('accepts a report, and keeps the fields of later versions', () => {
    const later = { ...report, teacher: { ...report.teacher, energyJoules: 3 } }
    expect(checkReport(later)).toEqual(later)
    expect(checkReport(JSON.parse(JSON.stringify(hostileReport())))).toBeDefined()
  })

  it('accepts a variant that failed and a cell without numbers', () => {
    const failed = {
      ...report.variants[0],
      failed: 'it outputs noise',
      accuracy: null,
      retention: null,
      calibrationError: null,
      macs: null,
      providers: { cpu: { available: false, reason: 'it does not open' } },
    }
    expect(() =>
      checkReport({ ...report, variants: [failed], samples: [], pareto: [], gates: [] }),
    ).not.toThrow()
  })

  const broken: readonly (readonly [string, unknown, RegExp])[] = [
    ['nothing', undefined, /^report\.json: not a report: it states no version — give /],
    ['a list', [report], /: not a report: it states no version/],
    ['no version', { ...report, version: undefined }, /: not a report: it states no version/],
    ['a version in words', { ...report, version: '1' }, /: not a report: it states no version/],
    ['a later version', { ...report, version: 2 }, /: a report of version 2, .* newer Condense$/],
    ['an earlier version', { ...report, version: 0 }, /: a report of version 0, .* run the recipe/],
    ['a version and no more', { version: 1 }, /: not a report of version 1: name: /],
    ['a text for a number', withTeacher({ sizeBytes: '12' }), /: teacher\.sizeBytes: .*number/],
    ['half a byte', withTeacher({ gzipBytes: 0.5 }), /: teacher\.gzipBytes: /],
    ['a percentage', withTeacher({ calibrationError: 4 }), /: teacher\.calibrationError: /],
    ['a number that is none', withTeacher({ macs: Number.NaN }), /: teacher\.macs: /],
    ['a missing part', { ...report, host: undefined }, /: host: /],
    ['a time without zone', { ...report, createdAt: '2026-03-14 09:26' }, /: createdAt: /],
    [
      'two variants of one id',
      { ...report, variants: [report.variants[0], report.variants[0]] },
      /: variants: two have the id 'distill'/,
    ],
    [
      'a stray origin',
      withTeacher({ from: 'nobody' }),
      /variant 'teacher'\.from: no variant has the id 'nobody'/,
    ],
    [
      'a sample of a variant that is missing',
      { ...report, variants: report.variants.slice(0, 1), pareto: [], gates: [] },
      /: samples: 17: no variant has the id 'prune'/,
    ],
    [
      'a picture from the network',
      withSample({ image: { source: 'https://evil.test/x.png', width: 1, height: 1 } }),
      /: samples\[0\]\.image\.source: expected a data: address/,
    ],
    [
      'a picture that ends its attribute',
      withSample({ image: { source: 'data:image/png;base64,"onerror=x', width: 1, height: 1 } }),
      /: samples\[0\]\.image\.source: /,
    ],
    ['a stray front', { ...report, pareto: ['nobody'] }, /pareto: no variant has the id 'nobody'/],
    [
      'a stray gate',
      { ...report, gates: [{ ...report.gates[0], variant: 'x' }] },
      /gate 'retention'\.variant/,
    ],
  ]
  it.each(broken)('refuses %s in one line', (_what, value, message) => {
    expect(() => checkReport(value)).toThrow(message)
    expect(() => checkReport(value)).toThrow(expect.objectContaining({ name: 'UserError' }))
    expect(() => checkReport(value)).not.toThrow(/\n/)
  })
})

function withTeacher(changes: Record<string, unknown>): unknown {
  return { ...report, teacher: { ...(report as Report).teacher, ...changes } }
}

function withSample(fields: object): object {
  return { ...report, samples: [{ ...report.samples![0], ...fields }] }
}
