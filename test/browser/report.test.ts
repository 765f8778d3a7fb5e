import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Browser, chromium } from 'playwright-core'
import { renderReport } from '../../benchmarks/report/render.ts'
import { sections } from '../../benchmarks/report/sections.ts'
import { hostileReport, reportFixture } from '../support/report-fixture.ts'

const executablePath = '/usr/bin/chromium'
const present = existsSync(executablePath)
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const reports = { plain: reportFixture(), hostile: hostileReport() }

const describeWithChromium = present ? describe : describe.skip
const why = present ? '' : ` (skipped: ${executablePath} is absent)`

describeWithChromium(`report.html in a browser${why}`, () => {
  let browser: Browser
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'report-'))
    for (const [name, report] of Object.entries(reports)) {
      writeFileSync(join(folder, `${name}.html`), renderReport(report)['report.html'])
    }
    browser = await chromium.launch({ executablePath, args })
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  async function open(name: string, width: number, colorScheme: 'light' | 'dark') {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    const troubles: string[] = []
    page.on('console', (message) => troubles.push(message.text()))
    page.on('pageerror', (error) => troubles.push(error.message))
    page.on('dialog', (dialog) => {
      troubles.push(dialog.message())
      void dialog.dismiss()
    })
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) troubles.push(request.url())
    })
    await page.goto(pathToFileURL(join(folder, `${name}.html`)).href)
    return { page, troubles }
  }

  it.each([
    ['plain', 360, 'light'],
    ['plain', 1280, 'light'],
    ['plain', 1280, 'dark'],
    ['hostile', 360, 'dark'],
    ['hostile', 1280, 'light'],
  ] as const)(
    'shows the %s report at %d px, %s',
    async (name, width, scheme) => {
      const { page, troubles } = await open(name, width, scheme)
      try {
        // A string, because the code runs in the page, where other globals exist than here.
        const seen = (await page.evaluate(`({
        overflow: document.documentElement.scrollWidth - innerWidth,
        sections: [...document.querySelectorAll('main > section')].map((one) => one.id),
        plots: [...document.querySelectorAll('svg.plot')].filter((one) => one.checkVisibility()).length,
        paper: getComputedStyle(document.body).backgroundColor,
      })`)) as { overflow: number; sections: string[]; plots: number; paper: string }
        expect(troubles).toEqual([])
        expect(seen.overflow).toBeLessThanOrEqual(0)
        expect(seen.sections).toEqual(Object.keys(sections))
        // Each plot is drawn for two widths, of which one shows: three trade-offs, two curves, classes, reliability, transfer, two
        // latencies.
        expect(seen.plots).toBe(10)
        expect(seen.paper).toBe(scheme === 'dark' ? 'rgb(20, 23, 26)' : 'rgb(252, 251, 248)')
      } finally {
        await page.close()
      }
    },
    30_000,
  )

  it('is legible without zoom: no text of a plot is smaller than 10 px', async () => {
    const { page } = await open('plain', 360, 'light')
    try {
      const smallest = await page.evaluate(`Math.min(...[...document.querySelectorAll('svg.plot')]
        .filter((one) => one.checkVisibility())
        .map((one) => 12 * one.getBoundingClientRect().width / one.viewBox.baseVal.width))`)
      expect(smallest).toBeGreaterThanOrEqual(10)
    } finally {
      await page.close()
    }
  }, 30_000)
})
