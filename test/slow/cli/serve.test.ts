// `condense run --serve` as somebody sees it in a browser: the page follows the run and ends as the report.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it } from '@jest/globals'
import { chromium } from 'playwright-core'
import type { Report } from '../../../benchmarks/report/report.ts'
import type { RunEvent } from '../../../pipeline/events.ts'
import { run } from '../../../pipeline/run.ts'
import { program, settingsOf } from '../../cli/program.ts'
import { temporaryFolder, tinyRecipe } from '../../pipeline/tiny.ts'

const executablePath = '/usr/bin/chromium'
const present = existsSync(executablePath)
const why = present ? '' : ` (skipped: ${executablePath} is absent)`

/** The tiny recipe with a training and a benchmark that somebody can watch. */
const watched = {
  ...tinyRecipe,
  name: 'watched',
  teacher: { ...tinyRecipe.teacher, train: { epochs: 60, batch: 16 } },
  benchmark: { ...tinyRecipe.benchmark, latency: { batches: [1], threads: [1], seconds: 2 } },
}

/** Runs `condense run watched.json --serve` and waits until it says where. */
async function served(folder: string, ...more: string[]) {
  writeFileSync(join(folder, 'watched.json'), JSON.stringify(watched))
  const child = spawn(
    process.execPath,
    [program, 'run', 'watched.json', ...more, '--serve'],
    settingsOf(folder),
  )
  const exit = new Promise<number | null>((done) => child.once('exit', done))
  const url = await new Promise<string>((done, reject) => {
    let told = ''
    child.stderr.on('data', (piece: Buffer) => {
      told += piece
      const [found] = /http:\S+/.exec(told) ?? []
      if (found) done(found)
    })
    void exit.then(() => reject(new Error(told)))
  })
  child.stdout.resume()
  return { child, exit, url }
}

;(present ? it : it.skip)(
  `shows steps, then figures, then the report, without being loaded again${why}`,
  async () => {
    const folder = temporaryFolder()
    const browser = await chromium.launch({
      executablePath,
      args: ['--headless', '--no-sandbox', '--disable-gpu'],
    })
    try {
      const { exit, url } = await served(folder)
      const page = await browser.newPage()
      const complaints: string[] = []
      page.on('pageerror', ({ message }) => complaints.push(message))
      page.on('console', (message) => complaints.push(message.text()))
      await page.goto(url)
      await page.evaluate('globalThis.mark = 1')
      const steps = page.locator('#progress tbody')
      await expect(steps.getByText(/epoch \d+\/60/).waitFor()).resolves.toBeUndefined()
      await page.locator('#training').waitFor()
      expect(await page.locator('#journey').count()).toBe(0)
      await page.locator('#journey').waitFor()
      expect(await page.locator('#progress, #verdict').count()).toBe(1)
      expect(await exit).toBe(0)
      expect(await page.evaluate('globalThis.mark')).toBe(1)
      const text = () => page.evaluate('document.body.innerText')
      const shown = await text()
      expect(complaints).toEqual([])
      const path = resolve(folder, 'runs/watched/report.html')
      expect(readFileSync(path, 'utf8')).not.toContain('<script')
      await page.goto(pathToFileURL(path).href)
      expect(shown).toBe(await text())
    } finally {
      await browser.close()
    }
  },
)

it('ends as without the page where it is interrupted, and goes on by the same command', async () => {
  const folder = temporaryFolder()
  const first = await served(folder)
  // A browser that hangs: it asks for events and never reads them.
  const hanging = await fetch(`${first.url}events`)
  first.child.kill('SIGINT')
  expect(await first.exit).toBe(130)
  await hanging.body?.cancel().catch(() => undefined)
  const second = await served(folder)
  expect(await second.exit).toBe(0)
})

it('is told between two measurements alone, and the benchmark waits for whoever is told', async () => {
  const happened: string[] = []
  const partials: Report[] = []
  const report = await run(
    { ...tinyRecipe, benchmark: { ...tinyRecipe.benchmark, providers: ['cpu', 'wasm'] } },
    {
      outFolder: join(temporaryFolder(), 'run'),
      cacheFolder: temporaryFolder(),
      onEvent(event: RunEvent) {
        if (event.event === 'benchmark-progress') happened.push(event.what)
      },
      async onPartial(partial) {
        partials.push(partial)
        happened.push('told')
        await new Promise((resolve) => setTimeout(resolve, 200))
        happened.push('shown')
      },
    },
  )
  const measured = happened.join(', ')
  expect(measured).toMatch(
    /told, shown, cpu: opening, cpu: latency, batch 1, 1 thread, told, shown/,
  )
  const whileTold = [...measured.matchAll(/told, (.*?)shown/g)].map(([, between]) => between)
  expect(whileTold.filter((between) => /latency|opening/.test(between!))).toEqual([])
  // What is being timed is told of all models or of none.
  for (const { teacher, variants } of partials)
    expect(new Set([teacher, ...variants].map(({ providers }) => 'cpu' in providers)).size).toBe(1)
  expect(partials.at(-1)!.variants.map(({ id }) => id)).toEqual(report.variants.map(({ id }) => id))
  expect(partials.at(-1)!.variants[0]!.providers.cpu?.p50Ms).toBeGreaterThan(0)
  expect(partials.at(-1)!.variants[0]!.accuracy).toEqual(report.variants[0]!.accuracy)
})
