// The report for spreadsheets and for continuous integration.
import { describe, expect, it } from '@jest/globals'
import { parse } from 'csv-parse/sync'
import { DOMParser } from 'linkedom'
import { renderCsv } from '../../benchmarks/report/csv.ts'
import { renderJunit } from '../../benchmarks/report/junit.ts'
import type { Report } from '../../benchmarks/report/report.ts'
import { hostileReport, matchReport, oldReport, reportFixture } from '../support/report-fixture.ts'

const report = reportFixture()
const rowsOf = (of: Report): Record<string, string>[] => parse(renderCsv(of), { columns: true })

describe('report.csv', () => {
  const rows = rowsOf(report)

  it('has a row for every measurement of every variant on every provider', () => {
    const expected = [report.teacher, ...report.variants].flatMap(({ id, providers }) =>
      Object.entries(providers).flatMap(([provider, { measurements = [] }]) =>
        Array.from({ length: Math.max(1, measurements.length) }, () => [id, provider]),
      ),
    )
    expect(rows.map(({ variant, provider }) => [variant, provider])).toEqual(expected)
  })

  it('writes numbers in full and leaves out what is not known', () => {
    const variant = report.variants[2]!
    const row = rows.find(({ variant: id, provider }) => id === variant.id && provider === 'cpu')!
    const measurement = variant.providers.cpu!.measurements![0]!
    expect(Number(row.p50_ms)).toBe(measurement.p50Ms)
    expect(Number(row.retention)).toBe(variant.retention!.accuracy)
    expect(Number(row.latency_over_teacher)).toBeCloseTo(0.193 / 1.214, 12)
    expect(row.failed).toBe('')
    const absent = rows.find(({ provider }) => provider === 'webgpu')!
    expect(absent).toMatchObject({ available: 'false', p50_ms: '', batch: '' })
    expect(absent.reason).toMatch(/^no adapter/)
  })

  it('has what a start, a run and a file take', () => {
    const { brotliBytes, bytesMoved, providers } = report.variants[0]!
    const { coldStart, energyJoules, measurements } = providers.cpu!
    const row = rows.find(({ variant, provider }) => variant === 'distill' && provider === 'cpu')!
    expect([row.brotli_bytes, row.bytes_moved, row.session_ms, row.energy_joules]).toEqual(
      [brotliBytes, bytesMoved, coldStart!.sessionMs, energyJoules].map(String),
    )
    expect([row.p999_ms, row.mean_ms, row.deviation_ms]).toEqual(
      [measurements![0]!.p999Ms, measurements![0]!.meanMs, measurements![0]!.deviationMs].map(
        String,
      ),
    )
    const other = rows.find(
      ({ variant, provider }) => variant === 'distill' && provider === 'wasm',
    )!
    expect([other.p999_ms, other.session_ms, other.energy_joules]).toEqual(['', '', ''])
  })

  it('has a row for a variant that ran nowhere', () => {
    const variants = report.variants.map((one) => ({ ...one, providers: {} }))
    expect(rowsOf({ ...report, variants }).filter(({ provider }) => provider === '')).toHaveLength(
      4,
    )
  })

  it.each([
    ['=1+1', "'=1+1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['  +1', "'  +1"],
    ['-x', "'-x"],
    ['\ttab', "'\ttab"],
    ['a "quoted", name', 'a "quoted", name'],
    ['two\nlines', 'two\nlines'],
    ['bell\u0007', 'bell\ufffd'],
  ])('keeps %j from being a formula or a second cell', (reason, expected) => {
    const providers = { cpu: { available: false, reason } }
    const [row] = rowsOf({ ...report, teacher: { ...report.teacher, providers } })
    expect(row!.reason).toBe(expected)
  })

  it.each([
    ['hostile', hostileReport()],
    ['old', oldReport()],
    ['match', matchReport()],
  ])('reads an %s report', (_name, of) => {
    expect(renderCsv(of)).not.toMatch(/undefined|NaN|\[object/)
    expect(rowsOf(of).length).toBeGreaterThan(4)
  })
})

describe('report.junit.xml', () => {
  const casesOf = (of: Report) => {
    const document = new DOMParser().parseFromString(renderJunit(of), 'text/xml')
    // linkedom gives attributes of XML as they are written.
    const plain = (text: string | null) =>
      text?.replaceAll('&lt;', '<').replaceAll('&gt;', '>') ?? null
    return [...document.querySelectorAll('testcase')].map((one) => ({
      name: plain(one.getAttribute('name')),
      failure: plain(one.querySelector('failure')?.getAttribute('message') ?? null),
    }))
  }

  it('has a case for each variant and each gate', () => {
    const failed = report.variants.map((one, index) =>
      index === 1 ? { ...one, failed: 'its outputs are no better than guesses' } : one,
    )
    expect(casesOf({ ...report, variants: failed })).toEqual([
      { name: 'distill is a result', failure: null },
      { name: 'prune is a result', failure: 'its outputs are no better than guesses' },
      { name: 'quantize is a result', failure: null },
      { name: 'float16 is a result', failure: null },
      { name: 'quantize: retention >= 0.98', failure: null },
      { name: 'quantize: size <= 0.033', failure: null },
      {
        name: 'quantize: latency.cpu <= 0.15',
        failure: 'latency.cpu is 0.15898, the limit is <= 0.15',
      },
    ])
    expect(renderJunit(report)).toContain('tests="7" failures="1" errors="0"')
  })

  it('holds nothing that XML does not know', () => {
    const id = 'a<b>&"\'\u0000\u0008\ud800\uffff]]>'
    const variants = [{ ...report.variants[0]!, id }]
    const xml = renderJunit({ ...report, variants, gates: [] })
    expect(xml).toContain('a&#60;b&#62;&#38;&#34;&#39;\ufffd\ufffd\ufffd\ufffd]]&#62; is a result')
    // What XML 1.0 allows.
    expect(xml).not.toMatch(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/)
  })
})
