// The trend page shows what a history holds, whatever somebody wrote into it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { parseHTML } from 'linkedom'
import type { KeptNight } from '../../../pipeline/nightly/night.ts'
import { renderTrend } from '../../../pipeline/nightly/page.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { nextNight, noisyReadings } from './nights.ts'

const evil = `</title><script>alert(1)</script><img src=x onerror="alert(2)">|'"\`@octocat \u202e`

/** Nights whose every text tries to break out, the last one with a larger file, a failed recipe and a note. */
function hostileNights(report: string, count = 3): KeptNight[] {
  const nights: KeptNight[] = []
  for (let index = 0; index < count; index++) {
    const readings = noisyReadings(1, index, 1).map((one) => ({
      ...one,
      variant: evil,
      ...(one.provider !== undefined && { provider: evil + one.provider }),
      ...(one.measure === 'size' && index === count - 1 && { value: 99_999 }),
    }))
    const { recipes, ...night } = nextNight(nights, readings)
    const [first] = recipes
    nights.push({
      ...night,
      ...{ id: index + 1, machine: evil, notes: [evil], condense: evil },
      ...{ onnxruntime: evil, node: evil, accepted: evil },
      recipes: [
        { ...first!, id: evil, report, gates: [evil] },
        { id: `other ${evil}`, report, failed: evil, gates: [], missing: [], figures: [] },
      ],
    })
  }
  return nights
}

it('keeps hostile names text, in the page and in Markdown', () => {
  const places = { folder: temporaryFolder(), reports: evil }
  const files = renderTrend(evil, hostileNights(`nights/${evil}`), places)
  const { document } = parseHTML(files['trend.html'])
  expect(document.querySelectorAll('script, img, [onerror]').length).toBe(0)
  expect(document.querySelector('h1')?.textContent).toContain('<script>alert(1)</script>')
  expect(files['trend.html']).toContain("default-src 'none'")
  expect(files['trend.html']).not.toContain('\u202e')
  expect(files['trend.md']).not.toMatch(/<(?!br>)|@octocat/)
  expect(() => JSON.parse(files['trend.json'])).not.toThrow()
})

it.each([
  'https://x.test/nights/a/b',
  'javascript:alert(1)//nights/a/b',
  '../nights/a/b',
  'nights/../../b',
  'nights/a/b/../../..',
  '/etc',
])('links to no report of the path %s', (path) => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'nights/a/b'), { recursive: true })
  writeFileSync(join(folder, 'nights/a/b/report.html'), '')
  const hrefsOf = (report: string) => {
    const files = renderTrend('s', hostileNights(report, 1), { folder, reports: 'a folder' })
    const { document } = parseHTML(files['trend.html'])
    return [...document.querySelectorAll('a')]
      .map((link) => link.getAttribute('href'))
      .filter((href) => !href?.startsWith('#'))
  }
  expect(hrefsOf(path)).toEqual([])
  expect(new Set(hrefsOf('nights/a/b'))).toEqual(new Set(['a%20folder/nights/a/b/report.html']))
})
