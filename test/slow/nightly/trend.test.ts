// A trend over a thousand nights renders in time, from the history's file to the page.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from '@jest/globals'
import { chromium } from 'playwright-core'
import { random } from '../../../base/random.ts'
import { openHistory } from '../../../pipeline/nightly/history.ts'
import type { Figure } from '../../../pipeline/nightly/judge.ts'
import type { Night } from '../../../pipeline/nightly/night.ts'
import { renderTrend } from '../../../pipeline/nightly/page.ts'
import { temporaryFolder } from '../../support/folder.ts'

const { normal, uniform } = random(3, 'thousand nights')

/** Two recipes of a teacher and three variants: 50 series, of which 24 vary. */
function nightNumber(index: number): Night {
  const figures = ['teacher', 'distill', 'prune', 'int8'].flatMap(
    (variant): Omit<Figure, 'recipe'>[] => {
      const noisy = (measure: Figure['measure'], centre: number, provider?: string) => {
        const value = centre * Math.exp(0.03 * normal())
        const status = uniform() < 0.002 ? ('worse' as const) : ('steady' as const)
        const band = { expected: centre, low: centre * 0.87, high: centre * 1.15, p: 0.4 }
        return { variant, measure, value, status, ...band, ...(provider && { provider }) }
      }
      const exact = (measure: Figure['measure'], value: number) => ({
        ...{ variant, measure, value, status: 'steady' as const, expected: value },
      })
      return [
        noisy('accuracy', 0.97),
        noisy('latency', 0.2, 'cpu'),
        noisy('latency', 0.4, 'wasm'),
        ...[exact('size', 34_512), exact('parameters', 12_694), exact('macs', 642_304)],
      ]
    },
  )
  const recipes = ['digits', 'speech'].map((id) => ({ id, gates: [], missing: [], figures }))
  const at = new Date(Date.UTC(2024, 0, 1 + index)).toISOString()
  return {
    ...{ suite: 's', at, condense: '0', node: '20', onnxruntime: '1', machine: 'm', notes: [] },
    recipes,
  }
}

const executablePath = '/usr/bin/chromium'
const page = join(temporaryFolder(), 'trend.html')

it('takes less than 2 s for 1,000 nights', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'history.db')
  const history = await openHistory(path)
  for (let index = 0; index < 1000; index++) history.add(nightNumber(index))
  history.close()
  // Processor time, for others may be busy; the first page pays for loading the library of plots.
  const times: number[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = process.cpuUsage()
    const again = await openHistory(path)
    const files = renderTrend('s', again.nights('s'), { folder, reports: '' })
    again.close()
    const { user, system } = process.cpuUsage(start)
    times.push((user + system) / 1000)
    writeFileSync(page, files['trend.html'])
    expect(files['trend.html'].length).toBeLessThan(2e6)
  }
  process.stderr.write(`1,000 nights: ${times.map((time) => time.toFixed(0)).join(', ')} ms\n`)
  expect(Math.min(...times)).toBeLessThan(2000)
})

const withBrowser = existsSync(executablePath) ? it : it.skip

withBrowser('is interactive within a second, and no wider than a window', async () => {
  const args = ['--headless', '--no-sandbox', '--disable-gpu']
  const browser = await chromium.launch({ executablePath, args })
  try {
    const times: number[] = []
    for (const width of [1280, 360]) {
      const tab = await browser.newPage({ viewport: { width, height: 800 } })
      await tab.goto(pathToFileURL(page).href)
      const entry = `performance.getEntriesByType('navigation')[0].domInteractive`
      times.push((await tab.evaluate(entry)) as number)
      expect(await tab.evaluate('document.documentElement.scrollWidth')).toBe(width)
      await tab.close()
    }
    process.stderr.write(
      `interactive after ${times.map((time) => time.toFixed(0)).join(', ')} ms\n`,
    )
    expect(Math.min(...times)).toBeLessThan(1000)
  } finally {
    await browser.close()
  }
})
