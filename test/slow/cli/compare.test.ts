// `condense compare` with the real command on two runs of the same teacher.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { readReport } from '../../../benchmarks/report/read.ts'
import { run } from '../../../pipeline/run.ts'
import { condenseAlone } from '../../cli/program.ts'
import { temporaryFolder, tinyRecipe } from '../../pipeline/tiny.ts'

const folder = temporaryFolder()

beforeAll(async () => {
  for (const [name, bits] of [
    ['first', 8],
    ['second', 4],
  ] as const)
    await run(
      { ...tinyRecipe, stages: [{ stage: 'quantize', id: 'small', scheme: 'weight-only', bits }] },
      { outFolder: join(folder, name), cacheFolder: join(folder, 'cache') },
    )
})

describe('condense compare', () => {
  it('puts two runs side by side and writes its files', () => {
    const { status, stdout, stderr } = condenseAlone(
      folder,
      ...['compare', 'first', 'second:small', '-o', 'told'],
    )
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toContain('| second/small')
    expect(readdirSync(join(folder, 'told')).sort()).toEqual([
      ...['comparison.csv', 'comparison.html', 'comparison.json', 'comparison.md'],
    ])
    expect(readFileSync(join(folder, 'told/comparison.html'), 'utf8')).toContain('</html>')
  })

  it('measures the variants of both in turn, with the data and the teacher of the runs', () => {
    const { status, stderr } = condenseAlone(
      folder,
      ...['compare', 'first:small', 'second/variants/small', '--measure'],
      ...['--seconds', '0.05', '-o', 'measured'],
    )
    expect([status, stderr]).toEqual([0, ''])
    const report = readReport(join(folder, 'measured'))
    expect(report.variants.map(({ id }) => id)).toEqual(['first/small', 'second/small'])
    const before = readReport(join(folder, 'first'))
    expect(report.data.fingerprint).toBe(before.data.fingerprint)
    expect(report.teacher.accuracy?.value).toBe(before.teacher.accuracy?.value)
    expect(report.variants[0]!.accuracy?.value).toBe(before.variants[0]!.accuracy?.value)
    for (const { providers } of report.variants)
      expect(providers.cpu!.latencyRatio!.value).toBeGreaterThan(0)
  })

  it('says in one line what is missing', () => {
    rmSync(join(folder, 'second/variants/small'), { recursive: true })
    const gone = condenseAlone(folder, 'compare', 'first:small', 'second:small', '--measure')
    expect([gone.status, gone.stderr.trim().split('\n').length]).toEqual([2, 1])
    expect(gone.stderr).toContain("second: the file of 'small' is gone")
    // What was measured of it is still there.
    expect(condenseAlone(folder, 'compare', 'first:small', 'second:small').status).toBe(0)
  })
})
