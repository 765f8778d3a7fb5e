import { describe, expect, it } from '@jest/globals'
import { parseHTML } from 'linkedom'
import { parse } from 'yaml'
import { escapeMarkdown } from '../../benchmarks/report/markdown.ts'
import { renderReport } from '../../benchmarks/report/render.ts'
import { checkReport, type Report } from '../../benchmarks/report/report.ts'
import { buildSections, type Section, sections } from '../../benchmarks/report/sections.ts'
import {
  hostileReport,
  matchReport,
  oldReport,
  rankingReport,
  regressionReport,
  reportFixture,
} from '../support/report-fixture.ts'

const report = reportFixture()
const files = renderReport(report)
const page = parseHTML(files['report.html']).document
const textOf = (selector: string) =>
  (page.querySelector(selector)?.textContent ?? '').replace(/[\u202f\u00a0]/g, ' ')

describe('renderReport', () => {
  it('gives the same bytes for the same report', () => {
    expect(renderReport(reportFixture())).toEqual(files)
  })

  it('writes the contract for programs', () => {
    expect(checkReport(JSON.parse(files['report.json']))).toEqual(report)
  })

  it('refuses to write a report that breaks the contract', () => {
    const broken = { ...report, teacher: { ...report.teacher, macs: Number.NaN } }
    expect(() => renderReport(broken)).toThrow(/^internal: /)
  })

  it('shows every section on the page and what decides in Markdown, in the order of the table', () => {
    const all = Object.values<Section>(sections)
    expect([...page.querySelectorAll('h2')].map((h2) => h2.textContent)).toEqual(
      all.map(({ title }) => title),
    )
    const found = (pattern: RegExp) => [...files['report.md'].matchAll(pattern)].map(([, it]) => it)
    const titled = (how: Section['inMarkdown']) =>
      all.filter(({ inMarkdown }) => inMarkdown === how).map(({ title }) => title)
    expect(found(/^## (.*)$/gm)).toEqual(titled(undefined))
    expect(found(/^<details><summary>(.*)<\/summary>$/gm)).toEqual(titled('folded'))
    expect(files['report.md'].length).toBeLessThan(8000)
  })

  it('survives the smallest report', () => {
    const {
      recipe: _recipe,
      classes: _classes,
      advice: _advice,
      samples: _samples,
      ...rest
    } = report
    const { training: _training, layers: _layers, ...teacher } = report.teacher
    const bare = {
      ...rest,
      teacher: { ...teacher, macs: null, providers: {}, calibrationError: null },
      variants: [],
      pareto: [],
      gates: [],
    }
    const html = renderReport(bare)['report.html']
    expect(html).not.toContain('The recipe sets no gates')
    expect(renderReport({ ...report, gates: [] })['report.html']).toContain('sets no gates')
    expect(html).not.toMatch(/NaN|Infinity|undefined/)
    expect(buildSections(bare).map(({ id }) => id)).toEqual([
      'verdict',
      'journey',
      'figures',
      'reproduce',
    ])
  })

  it('shows a variant that failed as no result', () => {
    const failed = {
      ...report.variants[2]!,
      failed: 'its outputs are not finite',
      accuracy: null,
      retention: null,
    }
    const variants = report.variants.map((one) => (one.id === failed.id ? failed : one))
    const { 'report.md': markdown } = renderReport({ ...report, variants })
    expect(markdown).toContain('quantize is no result: its outputs are not finite')
    expect(markdown).toMatch(/^\| quantize<br>.*\*\*failed\*\*/m)
  })

  it('marks an emulated GPU wherever its latency stands', () => {
    const software = { available: true, software: true, p50Ms: 9, measurements: [] }
    const emulated = <One extends typeof report.teacher>(one: One) => ({
      ...one,
      providers: { ...one.providers, webgpu: software },
    })
    const { 'report.md': markdown, 'report.html': html } = renderReport({
      ...report,
      teacher: emulated(report.teacher),
      variants: report.variants.map(emulated),
    })
    expect(markdown).toContain('software GPU')
    expect(html).toContain('on an emulated GPU: no measure of a real one')
    expect(markdown).not.toContain('Fastest on webgpu')
    expect(html).not.toContain('Fastest on webgpu')
  })
})

describe('report.html', () => {
  it('says the verdict, the gates and why a cell is empty', () => {
    expect(textOf('.statement')).toContain("quantize keeps 98.9 % of the teacher's accuracy")
    expect(textOf('#gates')).toContain('1 of 3 gates failed')
    expect(textOf('#providers')).toContain('wasm failed for float16: the process ended with signal')
    expect(textOf('#providers')).toContain('webgpu is not available: no adapter')
    expect(textOf('#journey')).toContain('▲ 97.65 %')
    expect(textOf('#verdict')).toContain('no significant difference (p = 0.052)')
  })

  it('shows what was forgotten, with every answer', () => {
    const [pictured, heard] = [...page.querySelectorAll('.samples > li')]
    expect(pictured?.querySelector('img')?.getAttribute('alt')).toBe('test sample 17, class 8')
    expect(pictured?.textContent?.replace(/[\u202f\u00a0]/g, ' ')).toBe(
      '8teacher: 8 (98 %)prune: 3 (61 %)quantize: 3 (58 %)',
    )
    expect(heard?.querySelector('audio')?.getAttribute('src')).toBe(
      'data:audio/wav;base64,UklGRg==',
    )
    expect(heard?.textContent).toContain('four score')
    expect(heard?.textContent).toContain('prune: no answer')
    expect(textOf('#forgotten')).toContain('8 → 3')
  })

  it('loads and runs nothing', () => {
    expect(files['report.html']).toContain(
      "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:",
    )
    expect(page.querySelectorAll('script, iframe, object, embed').length).toBe(0)
    const sources = [...page.querySelectorAll('[src]')].map((one) => one.getAttribute('src'))
    expect(sources.every((source) => source?.startsWith('data:'))).toBe(true)
    const links = [...page.querySelectorAll('[href]')].map((one) => one.getAttribute('href'))
    expect(links.filter((link) => !link?.startsWith('#'))).toEqual(['data:,'])
    expect(files['report.html']).not.toMatch(/@import|url\(/)
  })

  it('names its tables and links its headings', () => {
    for (const region of page.querySelectorAll('[aria-labelledby]')) {
      const id = region.getAttribute('aria-labelledby')!
      expect(page.getElementById(id)?.textContent).toBeTruthy()
    }
    for (const link of page.querySelectorAll('a')) {
      expect(page.getElementById(link.getAttribute('href')!.slice(1))).not.toBeNull()
    }
    const ids = [...page.querySelectorAll('[id]')].map((one) => one.getAttribute('id'))
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('has a column for what was measured, and none for what was not', () => {
    const captioned = (text: string) => {
      const found = [...page.querySelectorAll('table')].find(
        (table) => table.querySelector('caption')?.textContent === text,
      )
      return [...(found?.querySelectorAll('thead th') ?? [])].map(
        (th) => th.firstChild?.textContent,
      )
    }
    expect(captioned('Latency on cpu')).toEqual(
      expect.arrayContaining(['Relative', 'p50', 'p99.9', 'Mean', 'Throughput']),
    )
    expect(captioned('Latency on wasm')).not.toContain('p99.9')
    expect(captioned('Start and resources on cpu')).toEqual(
      ['Variant', 'Creating a session', 'First run', 'Both', 'Peak memory', 'Energy'], // all of them
    )
    expect(captioned('Start and resources on wasm')).toEqual(['Variant', 'Peak memory'])
    expect(captioned('What is stored and computed')).toEqual(
      expect.arrayContaining(['Gzip', 'Brotli', 'MACs', 'Bytes moved']),
    )
    const old = parseHTML(renderReport(oldReport())['report.html']).document
    expect(old.querySelector('#journey')?.textContent).not.toMatch(/Brotli|Bytes moved/)
  })

  it('names what measured, down to the versions', () => {
    expect(textOf('#reproduce')).toMatch(/SystemLinux 6\.1\.0, x64.*Condense0\.1\.0.*Node20/s)
  })

  it('shows a recipe that can be read again', () => {
    const code = page.querySelector('#reproduce pre')?.textContent ?? ''
    expect(parse(code)).toEqual(report.recipe)
  })
})

describe('hostile names', () => {
  const hostile = renderReport(hostileReport())

  it('stay text in the page', () => {
    const { document } = parseHTML(hostile['report.html'])
    expect(document.querySelectorAll('script, [onerror]').length).toBe(0)
    expect(document.querySelectorAll('img').length).toBe(1)
    expect(document.querySelector('h1')?.textContent).toContain('<script>alert(1)</script>')
    expect(document.querySelectorAll('title')[0]?.textContent).toContain('</title>')
    expect(hostile['report.html']).not.toContain('\u202e')
  })

  it('stay text in Markdown, cells and fences included', () => {
    const markdown = hostile['report.md']
    const [outside] = markdown.split('````yaml')
    expect(outside).not.toMatch(/<(?!br>|details>|summary>|\/)/)
    expect(outside).not.toContain('@octocat')
    const rows = markdown.split('\n').filter((line) => line.startsWith('| '))
    const cells = rows.map((row) => row.replace(/\\[\\|]/g, '').split('|').length)
    const header = rows.findIndex((row) => row.startsWith('| Gate '))
    expect(cells.slice(header, header + 5)).toEqual([7, 7, 7, 7, 7])
    expect(markdown).toContain('````yaml')
  })

  it('never reach the command to paste', () => {
    expect(hostile['report.md']).toContain('npx condense run recipe.yaml\n')
  })
})

describe('escapeMarkdown', () => {
  it.each([
    ['a|b*c_d`e', 'a\\|b\\*c\\_d\\`e'],
    ['- item', '\\- item'],
    ['1. item', '1\\. item'],
    ['98.5 of 100', '98.5 of 100'],
    ['two\n\nlines', 'two lines'],
    ['<b>&', '&lt;b&gt;&amp;'],
    ['see https://x.test @you', 'see https://\u200bx.test @\u200byou'],
  ])('makes %j safe', (text, expected) => {
    expect(escapeMarkdown(text)).toBe(expected)
  })
})

describe('a report of another task', () => {
  const plain = (text: string) => text.replace(/[\u202f\u00a0]/g, ' ').replaceAll('\u200b', '')
  const rendered = (of: Report) => {
    const { 'report.html': html, 'report.md': markdown } = renderReport(of)
    expect(html).not.toMatch(/NaN|Infinity|undefined/)
    return { document: parseHTML(html).document, markdown: plain(markdown) }
  }

  it('shows R² and errors in their unit, and nothing of classes', () => {
    const { document, markdown } = rendered(regressionReport())
    const titles = [...document.querySelectorAll('h2')].map((h2) => h2.textContent)
    expect(titles).not.toContain(sections.classes.title)
    expect(markdown).toContain(
      "quantize keeps only 93.8 % of the teacher's R² at 1/36 of its bytes",
    )
    expect(markdown).toMatch(/\| Variant \| R² \| Retention \| Agreement \| Size/)
    expect(markdown).toContain('0.7893**<br>0.768–0.806')
    expect(markdown).toContain('MAE, median house value ↓')
    expect(markdown).toContain('−0.0831')
  })

  it('shows NDCG and hit rates', () => {
    const { markdown } = rendered(rankingReport())
    expect(markdown).toContain('NDCG@10')
    expect(markdown).toMatch(/Hit rate@5.*64\.27 %/)
    expect(markdown).toContain('Same first')
  })

  it('shows what has no truth but the teacher', () => {
    const { markdown } = rendered(matchReport())
    expect(markdown).toContain('Fidelity R²')
    expect(markdown).toContain('31.20 dB')
    expect(markdown).toContain('≥ 150 dB')
    expect(markdown).toContain('the teacher is the target')
  })

  it('is still read as it was before there were others', () => {
    const old = oldReport()
    expect(checkReport(JSON.parse(JSON.stringify(old)))).toEqual(old)
    const { document, markdown } = rendered(old)
    expect(plain(document.body.textContent ?? '')).toContain("98.9 % of the teacher's accuracy")
    expect(markdown).toContain('97.75 %')
  })
})
