// What `condense compare` makes of what it is given: runs, reports, variants, files.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { figureDifference, sharesP } from '../../benchmarks/comparison/comparison.ts'
import { renderComparison } from '../../benchmarks/comparison/render.ts'
import type { Report, Variant } from '../../benchmarks/report/report.ts'
import { newModel } from '../../onnx/build.ts'
import { saveModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { compare, measurable } from '../../pipeline/compare.ts'
import { oldReport, reportFixture } from '../support/report-fixture.ts'
import { temporaryFolder } from './tiny.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)

function writeRun(name: string, report: object): void {
  mkdirSync(at(name), { recursive: true })
  writeFileSync(at(`${name}/report.json`), JSON.stringify(report))
}

async function writeModel(path: string, scale: number): Promise<void> {
  const { model, g } = newModel('m')
  const x = g.input('x', { dtype: 'float32', shape: ['n', 2] })
  const weights = tensorOf('float32', [2, 2], new Float32Array([scale, 0, 1, 2]))
  g.output('y', g.MatMul(x, g.constant(weights)), { dtype: 'float32', shape: ['n', 2] })
  await saveModel(model, path)
}

const report = reportFixture()
const changed = (change: Partial<Report>, accuracy = 0.9): Report => ({
  ...report,
  ...change,
  variants: report.variants.map((variant) => ({
    ...variant,
    accuracy: variant.accuracy && { ...variant.accuracy, value: accuracy, top1: accuracy },
  })),
})
const [first, second] = report.variants as readonly [Variant, Variant]

beforeAll(async () => {
  writeRun('a', report)
  writeRun('b', changed({ host: { ...report.host, cpu: 'Another 9000' } }))
  writeRun('c', changed({ data: { ...report.data, fingerprint: 'f'.repeat(64) } }))
  writeRun('old', oldReport())
  writeRun('later', { ...report, version: 2 })
  writeRun('hostile', {
    ...report,
    name: '<script>alert(1)</script>',
    variants: [
      { ...first, id: '<img src=x onerror=alert(1)>', from: 'teacher', against: undefined },
    ],
    gates: [],
    pareto: [],
    samples: [],
  })
  mkdirSync(at('empty'))
  mkdirSync(at('damaged'))
  writeFileSync(at('damaged/report.json'), '{"version": 1, "na')
  await writeModel(at('alone.onnx'), 1)
})

describe('comparing what was measured', () => {
  it('puts all models of two runs side by side, and says what differs', async () => {
    const comparison = await compare([at('a'), at('b')])
    expect(comparison.models).toHaveLength(2 * (report.variants.length + 1))
    expect(comparison.models.map(({ id }) => id)).toContain(`b/${first.id}`)
    const files = renderComparison(comparison)
    expect(files['comparison.md']).toContain('Other machines: times say nothing about each other.')
    expect(files['comparison.html']).toContain('≠ Machine')
    // No time of one run stands beside one of another, nor is divided by it.
    expect(files['comparison.html']).not.toMatch(/p50 latency/)
    const { models } = JSON.parse(files['comparison.json']) as { models: { id: string }[] }
    expect(models.map(({ id }) => id)).toEqual(comparison.models.map(({ id }) => id))
    const [header, ...rows] = files['comparison.csv'].trim().split('\r\n')
    expect(header).toMatch(/^run,variant,/)
    expect(new Set(rows.map((row) => row.split(',')[0]))).toEqual(new Set(['a', 'b']))
  })

  it('takes single variants by name, by folder and by file, and times of one run as they are', async () => {
    mkdirSync(join(at('a'), first.file, '..'), { recursive: true })
    writeFileSync(join(at('a'), first.file), '')
    const { models, runs } = await compare([`${at('a')}:teacher`, join(at('a'), first.file)])
    expect(models.map(({ id }) => id)).toEqual(['teacher', first.id])
    expect(runs).toHaveLength(1)
    expect(renderComparison({ createdAt: '', runs, models })['comparison.html']).toContain(
      'p50 latency',
    )
  })

  it('knows of files alone how large they are, and nothing else', async () => {
    const { models } = await compare([at('a/report.json'), at('alone.onnx')])
    const { variant, run } = models.at(-1)!
    expect([run, variant.sizeBytes]).toEqual([undefined, readFileSync(at('alone.onnx')).length])
    expect([variant.parameters, variant.accuracy]).toEqual([4, null])
  })

  it('reads reports of older versions of Condense', async () => {
    const files = renderComparison(await compare([at('a'), at('old')]))
    expect(files['comparison.html']).toContain('≠')
  })

  it('shows hostile names as text', async () => {
    const html = renderComparison(await compare([at('a'), at('hostile')]))['comparison.html']
    expect(html).not.toMatch(/<script|<img/)
    expect(html).toContain('&lt;img')
  })
})

describe('differences', () => {
  const find = async (one: string, other: string) => {
    const { models } = await compare([one, other])
    return figureDifference(models[1]!, models[0]!)
  }

  it('come from the paired test of the run where there is one', async () => {
    const found = await find(`${at('a')}:teacher`, `${at('a')}:${first.id}`)
    expect(found).toMatchObject({
      by: 'paired',
      p: first.retention!.p ?? first.retention!.mcnemarP,
    })
  })

  it('are those of independent shares between runs of the same samples', async () => {
    const found = await find(`${at('a')}:${first.id}`, `${at('b')}:${first.id}`)
    const value = first.accuracy!.value ?? first.accuracy!.top1!
    expect(found!.difference).toBeCloseTo(0.9 - value, 12)
    expect([found!.by, found!.p! < 0.05]).toEqual(['shares', true])
  })

  it('are not told of other samples', async () => {
    expect(await find(`${at('a')}:${first.id}`, `${at('c')}:${first.id}`)).toBeUndefined()
  })

  it('of shares follow the z-test', () => {
    // 980 and 960 of 1,000: z = 2.6 (pooled), two-sided p = 0.0092.
    expect(sharesP(0.98, 0.96, 1000)).toBeCloseTo(0.0092, 3)
    expect(sharesP(1, 1, 1000)).toBe(1)
    expect(sharesP(0.98, 0.96, 10)).toBeGreaterThan(0.5)
  })
})

describe('what is to be measured', () => {
  beforeAll(async () => {
    const recipe = { data: { source: 'digits' }, preprocess: { mean: 0.5 } }
    for (const run of ['one', 'two']) {
      writeRun(run, { ...report, recipe })
      for (const [index, { file }] of [report.teacher, first].entries()) {
        mkdirSync(join(at(run), file, '..'), { recursive: true })
        await writeModel(join(at(run), file), index === 0 ? 1 : run.length + run.charCodeAt(0))
      }
    }
  })

  it('is every model once, with the data, the seed and the teacher of the runs', async () => {
    const asked = await measurable([`${at('one')}:${first.id}`, `${at('two')}:${first.id}`], {})
    expect(asked).toEqual({
      teacher: join(at('one'), report.teacher.file),
      models: [join(at('one'), first.file), join(at('two'), first.file)],
      names: [`one/${first.id}`, `two/${first.id}`],
      name: `one/${first.id} and 1 other`,
      ...{ data: { source: 'digits' }, task: report.task ?? 'classification' },
      ...{ seed: report.seed, preprocess: { mean: 0.5 } },
    })
  })

  it.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'a file that is gone',
      () => measurable([`${at('one')}:${second.id}`, at('alone.onnx')], {}),
      /^one: the file of '.*' is gone: '.*' — run the recipe again/,
    ],
    [
      'other data',
      () => {
        writeRun('three', {
          ...report,
          recipe: { data: { source: 'digits' } },
          data: { ...report.data, fingerprint: 'e'.repeat(64) },
        })
        for (const { file } of [report.teacher, first]) {
          mkdirSync(join(at('three'), file, '..'), { recursive: true })
          writeFileSync(join(at('three'), file), readFileSync(join(at('one'), file)))
        }
        return measurable([`${at('one')}:${first.id}`, `${at('three')}:${first.id}`], {})
      },
      /^--measure: the runs were measured on other data — name the data by --data/,
    ],
    [
      'a file outside of its run',
      () => {
        writeRun('out', {
          ...report,
          recipe: {},
          variants: [{ ...first, from: 'teacher', file: '../alone.onnx' }],
          gates: [],
          pareto: [],
          samples: [],
        })
        return measurable([`${at('out')}:${first.id}`, at('alone.onnx')], {})
      },
      /^out: the file of '.*' lies outside of the run: '\.\.\/alone\.onnx' — name the ONNX file/,
    ],
  ])('refuses %s', async (_what, act, message) => {
    await expect(act()).rejects.toThrow(message)
  })
})

describe('refuses in one line', () => {
  it.each<[string, readonly string[], RegExp]>([
    ['what is not there', ['nowhere', 'a'], /^nowhere: no such run or file — give/],
    ['a folder without a report', ['empty', 'a'], /empty: no report\.json in this folder — give/],
    ['a damaged report', ['damaged', 'a'], /report\.json: not JSON: .* — run the recipe again/],
    [
      'a report of another version',
      ['later', 'a'],
      /a report of version 2, this Condense knows version 1/,
    ],
    [
      'a variant that is not there',
      ['a:nothing', 'b'],
      /a:nothing: run 'a' has no variant 'nothing' — .*teacher/,
    ],
    ['the same twice', ['a', `a:teacher`], /a:teacher: given twice — name each model once/],
    ['one model alone', ['a:teacher'], /one model alone has nothing to be compared with/],
  ])('%s', async (_what, names, message) => {
    const failure = await compare(
      names.map((name) => (name === 'nowhere' ? name : at(name))),
    ).catch((thrown: unknown) => thrown)
    expect(failure).toBeInstanceOf(UserError)
    expect((failure as UserError).message).toMatch(message)
    expect((failure as UserError).message).not.toContain('\n')
  })
})
