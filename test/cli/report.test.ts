// `condense report` as a user has it: the built program, on a report that is made up.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { renderReport } from '../../benchmarks/report/render.ts'
import { temporaryFolder } from '../pipeline/tiny.ts'
import { oldReport } from '../support/report-fixture.ts'
import { commandsIn } from './program.ts'

const folder = temporaryFolder()
const condense = commandsIn(folder)
const files = renderReport(oldReport())

beforeAll(() => {
  mkdirSync(join(folder, 'run'))
  writeFileSync(join(folder, 'run/report.json'), files['report.json'])
  writeFileSync(join(folder, 'later.json'), JSON.stringify({ ...oldReport(), version: 2 }))
})

describe('condense report', () => {
  it('renders a report again beside it, and into another folder', async () => {
    for (const [args, where] of [
      [['run'], 'run'],
      [['run/report.json', '--out', 'elsewhere'], 'elsewhere'],
    ] as const) {
      const { status, stdout, stderr } = await condense('report', ...args)
      expect([status, stderr]).toEqual([0, ''])
      expect(stdout.trim().split('\n')).toEqual(Object.keys(files).map((name) => join(where, name)))
      expect(readdirSync(join(folder, where)).sort()).toEqual(Object.keys(files).sort())
      for (const name of ['report.json', 'report.md', 'report.csv', 'report.junit.xml'] as const)
        expect(readFileSync(join(folder, where, name), 'utf8')).toBe(files[name])
      // Plot draws half a pixel further where it is tested by Jest.
      const page = readFileSync(join(folder, where, 'report.html'), 'utf8')
      expect(page.length / files['report.html'].length).toBeCloseTo(1, 1)
      expect(page).toContain('<h1>digits</h1>')
    }
  })

  it.each([
    ['nowhere', /^nowhere: no such report — give the folder of a finished run/],
    ['later.json', /^later\.json: a report of version 2, this Condense knows version 1 — /],
  ])('refuses %s in one line', async (name, message) => {
    const { status, stderr } = await condense('report', name)
    expect(status).toBe(2)
    expect(stderr.trim()).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})
