import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Interrupted } from '../../base/errors.ts'
import { sha256 } from '../../base/hash.ts'
import { checkReport, type Report } from '../../benchmarks/report/report.ts'
import { loadModel } from '../../onnx/load.ts'
import { listEntries } from '../../pipeline/cache.ts'
import type { RunEvent } from '../../pipeline/events.ts'
import { planRun } from '../../pipeline/plan.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'
import { run } from '../../pipeline/run.ts'
import { temporaryFolder, tinyData, tinyRecipe } from './tiny.ts'

const hashOf = (path: string) => sha256(readFileSync(path))
const filesOf = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

/** Runs the tiny recipe into a new folder and collects its events. */
async function tinyRun(cacheFolder: string, recipe: RecipeInput = tinyRecipe, stop?: Stop) {
  const outFolder = join(temporaryFolder(), 'out')
  const events: RunEvent[] = []
  const abort = new AbortController()
  const running = run(recipe, {
    cacheFolder,
    outFolder,
    threads: 1,
    signal: abort.signal,
    onEvent(event) {
      events.push(event)
      if (stop?.(event)) abort.abort()
    },
  })
  return { outFolder, events, report: stop ? undefined : await running, running }
}

type Stop = (event: RunEvent) => boolean

const doneSteps = (events: readonly RunEvent[]) =>
  events.flatMap((event) => (event.event === 'stage-done' ? [[event.id, event.cached]] : []))

describe('a run', () => {
  const cache = temporaryFolder()
  let outFolder: string
  let report: Report
  let events: RunEvent[]

  beforeAll(async () => {
    const finished = await tinyRun(cache)
    ;({ outFolder, events } = finished)
    report = finished.report as Report
  })

  it('leaves the files that the design promises, and no others', () => {
    expect(filesOf(outFolder)).toEqual([
      'events.ndjson',
      'preparation.json',
      'recipe.resolved.json',
      'report.csv',
      'report.html',
      'report.json',
      'report.junit.xml',
      'report.md',
      'variants/half/model.onnx',
      'variants/quantize/model.onnx',
      'variants/teacher/model.onnx',
    ])
  })

  it('resolves to the report that it writes', () => {
    const written: unknown = JSON.parse(readFileSync(join(outFolder, 'report.json'), 'utf8'))
    expect(checkReport(written)).toEqual(JSON.parse(JSON.stringify(report)))
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(report.host).toMatchObject({ condense: version, system: expect.stringContaining(', ') })
    expect(report.variants.map(({ id, stage, from }) => [id, stage, from])).toEqual([
      ['quantize', 'quantize', 'teacher'],
      ['half', 'quantize', 'teacher'],
    ])
    expect(report.data).toMatchObject({
      source: tinyData.path,
      train: 450,
      validation: 50,
      test: 100,
    })
  })

  it('tells the training of the teacher epoch by epoch', () => {
    expect(report.teacher.training?.epochs).toHaveLength(1)
    expect(report.teacher.training?.epochs[0]?.seconds).toBeGreaterThan(0)
    expect(report.teacher.accuracy?.top1).toBeGreaterThan(0.3)
  })

  it('stamps every file with where it comes from, and reports the size of the stamped file', async () => {
    for (const { id, file, sizeBytes, retention } of report.variants) {
      const path = join(outFolder, file)
      const { metadata } = await loadModel(path)
      expect(metadata.get('condense.variant')).toBe(id)
      expect(metadata.get('condense.seed')).toBe('3')
      expect(metadata.get('condense.teacher')).toMatch(/^[0-9a-f]{64}$/)
      expect(metadata.get('condense.retention')).toBe(String(retention?.accuracy))
      expect(JSON.parse(metadata.get('condense.recipe') ?? '')).toEqual(tinyRecipe)
      expect(readFileSync(path).length).toBe(sizeBytes)
    }
  })

  it('records its events with their time', () => {
    const lines = readFileSync(join(outFolder, 'events.ndjson'), 'utf8').trim().split('\n')
    const recorded = lines.map((line) => JSON.parse(line) as RunEvent & { time: string })
    expect(recorded.map(({ event }) => event).slice(0, 2)).toEqual(['run-start', 'stage-start'])
    expect(recorded.at(-1)).toMatchObject({ event: 'run-done', passed: true })
    expect(recorded.every(({ time }) => !Number.isNaN(Date.parse(time)))).toBe(true)
    expect(doneSteps(events)).toEqual([
      ['teacher', false],
      ['quantize', false],
      ['half', false],
    ])
  })

  it('finds finished stages in the cache and makes the same files of them', async () => {
    const again = await tinyRun(cache)
    expect(doneSteps(again.events).every(([, cached]) => cached)).toBe(true)
    for (const { file } of [report.teacher, ...report.variants])
      expect(hashOf(join(again.outFolder, file))).toBe(hashOf(join(outFolder, file)))
  })

  const planned = async (recipe: RecipeInput, cacheFolder = cache) => {
    const outFolder = join(cacheFolder, 'out')
    const plan = await planRun(recipe, { cacheFolder, outFolder, threads: 1 })
    expect(existsSync(plan.folder)).toBe(false)
    return { ...plan, cached: plan.steps.map(({ id, cached }) => [id, cached]) }
  }
  const [first, ...others] = tinyRecipe.stages ?? []

  it('runs the stages after a change again, and those before it not', async () => {
    const changed = { ...tinyRecipe, stages: [{ ...first, perChannel: false }, ...others] }
    expect((await planned(changed as RecipeInput)).cached).toEqual([
      ['teacher', true],
      ['quantize', false],
      ['half', true],
    ])
  })

  it('knows a stage again under another name', async () => {
    const renamed = { ...tinyRecipe, stages: [{ ...first, id: 'other' }, ...others] }
    expect((await planned(renamed as RecipeInput)).cached[1]).toEqual(['other', true])
  })

  it('is planned with time and disk where nothing is cached, and writes nothing', async () => {
    const empty = temporaryFolder()
    const { steps, diskBytes, basis } = await planned(tinyRecipe, empty)
    expect(steps.every(({ cached, seconds }) => !cached && seconds > 0)).toBe(true)
    expect(diskBytes).toBeGreaterThan(1_000 * 4)
    expect(basis).toMatch(/assumed/)
    expect(listEntries(empty)).toEqual([])
  })

  it('makes a damaged entry again', async () => {
    const [entry] = listEntries(cache).filter(({ stage }) => stage === 'train')
    writeFileSync(join(cache, 'stages', entry?.key ?? '', 'model.onnx'), 'damaged')
    expect((await planned(tinyRecipe)).cached[0]).toEqual(['teacher', false])
  })

  it('goes well beside another one of the same recipe, which waits for its stages', async () => {
    const shared = temporaryFolder()
    const recipe = { ...tinyRecipe, stages: [first!] }
    const both = await Promise.all([tinyRun(shared, recipe), tinyRun(shared, recipe)])
    const waited = both.flatMap(({ events: told }) => told).filter(({ event }) => event === 'log')
    expect(JSON.stringify(waited)).toContain(`waiting for process ${process.pid}`)
    const cached = both.flatMap(({ events: told }) => doneSteps(told)).map(([, kept]) => kept)
    expect(cached.filter((kept) => !kept)).toHaveLength(2)
    const [one, other] = both
    for (const { file } of [report.teacher, report.variants[0]!])
      expect(hashOf(join(one.outFolder, file))).toBe(hashOf(join(other.outFolder, file)))
  })

  it('refuses a folder that holds another run', async () => {
    const other = { ...tinyRecipe, seed: 4 }
    await expect(run(other, { cacheFolder: cache, outFolder })).rejects.toThrow(
      'the folder holds something else — choose a new or empty folder',
    )
  })
})

describe('an interrupted run', () => {
  const recipe: RecipeInput = {
    ...tinyRecipe,
    teacher: { ...tinyRecipe.teacher, train: { epochs: 3, batch: 32 } },
    stages: [],
  }

  it('goes on from its last checkpoint, to the same bytes', async () => {
    const cache = temporaryFolder()
    const stopped = await tinyRun(
      cache,
      recipe,
      (event) => event.event === 'progress' && event.epoch === 2,
    )
    await expect(stopped.running).rejects.toBeInstanceOf(Interrupted)
    expect(filesOf(stopped.outFolder)).toEqual(['events.ndjson', 'recipe.resolved.json'])
    expect(listEntries(cache)).toEqual([])

    const resumed = await tinyRun(cache, recipe)
    const epochs = resumed.events.flatMap((event) =>
      event.event === 'progress' ? [event.epoch] : [],
    )
    expect(epochs).not.toContain(1)
    const straight = await tinyRun(temporaryFolder(), recipe)
    const file = 'variants/teacher/model.onnx'
    expect(hashOf(join(resumed.outFolder, file))).toBe(hashOf(join(straight.outFolder, file)))
    expect(readdirSync(join(cache, 'work'))).toEqual([])
  })

  it('can be interrupted in the benchmark, too', async () => {
    const { running, outFolder } = await tinyRun(
      temporaryFolder(),
      recipe,
      (event) => event.event === 'benchmark-progress' && event.done > 0.2,
    )
    await expect(running).rejects.toBeInstanceOf(Interrupted)
    expect(filesOf(outFolder)).not.toContain('report.json')
    expect(filesOf(outFolder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })
})
