// Whatever a user can get wrong ends with one line that says where, what and what to do, and leaves nothing behind.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { buildArchitecture } from '../../models/index.ts'
import { oneInput } from '../../models/layers.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { listEntries } from '../../pipeline/cache.ts'
import type { RunOptions } from '../../pipeline/prepare.ts'
import type { RecipeInput } from '../../pipeline/recipe.ts'
import { run } from '../../pipeline/run.ts'
import { runStage } from '../../pipeline/single.ts'
import { expectWholeFilesOnFullDisk, mayMount, mount } from './disks.ts'
import { temporaryFolder, tinyData, tinyRecipe, tinyShape } from './tiny.ts'

const folder = temporaryFolder()
const cacheFolder = join(folder, 'cache')
const inFolder = (name: string) => join(folder, name)
const elsewhere = process.platform === 'darwin' ? 'dml' : 'coreml'

const mlp = (shape: readonly number[], classes: number) =>
  buildArchitecture({ architecture: 'mlp', hidden: [4] }, { ...oneInput(shape, classes), seed: 1 })
const { shape, classes } = tinyShape

beforeAll(async () => {
  const good = mlp(shape, classes)
  const bytes = serializeModel(good)
  await saveModel(good, inFolder('good.onnx'))
  await saveModel(mlp(shape, 7), inFolder('seven.onnx'))
  await saveModel(mlp([3, 32, 32], classes), inFolder('colour.onnx'))
  writeFileSync(inFolder('cut.onnx'), bytes.subarray(0, bytes.length / 2))
  writeFileSync(inFolder('garbage.onnx'), Buffer.from('this is not a model, but text'.repeat(50)))
  writeFileSync(inFolder('empty.onnx'), '')
  mkdirSync(inFolder('no-data'))
})

/** Runs a recipe that must be refused: gives the message, and makes sure that nothing is left behind. */
async function refusal(change: Partial<RecipeInput>, options: RunOptions = {}): Promise<string> {
  const outFolder = inFolder('out')
  const running = run(
    { ...tinyRecipe, ...change },
    { cacheFolder, outFolder, threads: 1, ...options },
  )
  const error: unknown = await running.then(
    () => new Error('the run succeeded'),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(UserError)
  const { message } = error as UserError
  expect(message).not.toContain('\n')
  expect(existsSync(outFolder)).toBe(false)
  return message
}

const teacher = (name: string): Partial<RecipeInput> => ({
  teacher: { model: { file: inFolder(name) } },
})

describe('before anything is run', () => {
  it.each([
    [
      'a truncated model',
      teacher('cut.onnx'),
      /cut\.onnx: not an ONNX file: .* — export or download/,
    ],
    [
      'garbage',
      teacher('garbage.onnx'),
      /garbage\.onnx: not an ONNX file: .* — export or download/,
    ],
    [
      'an empty model',
      teacher('empty.onnx'),
      /empty\.onnx: .*the file is empty — export or download/,
    ],
    [
      'a model that is not there',
      teacher('none.onnx'),
      /none\.onnx: no such file or folder — check/,
    ],
    ['a folder for a model', teacher('no-data'), /no-data: .* — /],
    [
      'labels that do not fit the outputs',
      teacher('seven.onnx'),
      /seven\.onnx: .*7 outputs for the 4 classes of data '.*' — use data/,
    ],
    [
      'an input that does not fit the data',
      teacher('colour.onnx'),
      /colour\.onnx: input 'input' \[N,3,32,32\] does not fit the data: one sample is \[1,8,8\] — /,
    ],
    [
      'a student that is not there',
      { stages: [{ stage: 'distill', student: { file: inFolder('none.onnx') } }] },
      /none\.onnx: no such file or folder — check/,
    ],
    ['missing data', { data: { format: 'idx', path: inFolder('no-data') } }, /no-data.*: .* — /],
    [
      'a data folder that is not there',
      { data: { format: 'cifar', path: inFolder('nowhere') } },
      /data\.path: no such file or folder: '.*nowhere' — check the path/,
    ],
    [
      'a gate on a provider that is not here',
      { benchmark: { providers: ['cpu', elsewhere], gates: { latency: { [elsewhere]: '<= 1' } } } },
      new RegExp(
        `benchmark\\.gates\\.latency\\.${elsewhere}: provider '${elsewhere}' is not available: `,
      ),
    ],
    [
      'training on a provider that is not here',
      { provider: elsewhere },
      new RegExp(`provider: provider '${elsewhere}' is not available: `),
    ],
  ] as [string, Partial<RecipeInput>, RegExp][])('%s is refused', async (_, change, message) => {
    expect(await refusal(change)).toMatch(message)
  })

  it('says that a data set is looked for in $CONDENSE_DATA', async () => {
    const data = { source: 'mnist', download: false } as const
    const told = await refusal({ data }, { dataFolder: inFolder('no-data') })
    expect(told).toMatch(/data\.source: 'mnist' was not found: looked in .*set CONDENSE_DATA/)
  })

  it('measures a provider that is not here as a cell with its reason', async () => {
    const report = await run(
      {
        ...tinyRecipe,
        ...teacher('good.onnx'),
        stages: [],
        benchmark: { ...tinyRecipe.benchmark, providers: ['cpu', elsewhere] },
      },
      { cacheFolder, outFolder: inFolder('measured'), threads: 1 },
    )
    expect(report.teacher.providers[elsewhere]).toMatchObject({ available: false })
    expect(report.teacher.providers[elsewhere]?.reason).toBeTruthy()
  })
})

describe('a stage that fails', () => {
  it('says which step it is, and keeps the steps before it', async () => {
    const outFolder = inFolder('failing')
    const stages: RecipeInput['stages'] = [
      { stage: 'optimize' },
      { stage: 'prune', structure: 'channels', target: { macs: 0.5 }, layers: ['conv9'] },
    ]
    const running = run({ ...tinyRecipe, stages }, { cacheFolder, outFolder, threads: 1 })
    await expect(running).rejects.toThrow(/^stage 'prune' \(step 2 of 2\): .*'conv9' — /)
    await expect(running).rejects.toBeInstanceOf(UserError)
    expect(listEntries(cacheFolder).map(({ stage }) => stage)).toContain('optimize')
    expect(readdirSync(join(outFolder, 'variants')).sort()).toEqual(['optimize', 'teacher'])
    expect(existsSync(join(outFolder, 'report.json'))).toBe(false)
  })
})

describe('a folder that cannot be written', () => {
  it('because a file is in the way', async () => {
    writeFileSync(inFolder('file'), '')
    expect(await refusal({}, { outFolder: inFolder('file') })).toMatch(
      /file: .* — choose another path/,
    )
    expect(await refusal({}, { outFolder: inFolder('file/deeper') })).toMatch(
      / — choose another path/,
    )
    expect(await refusal({}, { cacheFolder: inFolder('file') })).toMatch(/ — choose another path/)
  })

  it('because somebody else is writing there', async () => {
    const outFolder = inFolder('busy')
    const options = { cacheFolder, outFolder, threads: 1 }
    const both = await Promise.allSettled([run(tinyRecipe, options), run(tinyRecipe, options)])
    const refused = both.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(1)
    expect(String((refused[0] as PromiseRejectedResult).reason)).toMatch(
      /busy: another run is writing there: process \d+ — wait for it, or choose another folder/,
    )
  })
})

const describeDisks = mayMount ? describe : describe.skip

describeDisks(mayMount ? 'a disk' : 'a disk (skipped: mounting needs root)', () => {
  it('that is full while the variants are written has whole files alone, and the next run goes on', () =>
    expectWholeFilesOnFullDisk('20k', cacheFolder))

  it('that is read-only is named', async () => {
    const disk = mount('ro') as string
    expect(await refusal({}, { outFolder: join(disk, 'out') })).toMatch(
      /out: the file system is read-only — choose another folder/,
    )
  })
})

describe('one stage alone', () => {
  const request = {
    model: { file: inFolder('good.onnx') },
    output: inFolder('result.onnx'),
    cacheFolder,
  }

  it.each([
    [
      { stage: 'quantize', scheme: 'static', calibration: { from: 'data' } },
      /^quantize: it needs data: none was named — give a data set/,
    ],
    [
      { stage: 'quantize', sheme: 'static' },
      /^quantize: sheme: unknown key — did you mean 'scheme'\?/,
    ],
    [
      { stage: 'export', opset: 9 },
      /^stage 'export' \(step 1 of 1\): opset: .* — an opset can only be raised/,
    ],
  ] as const)('refuses %j', async (options, message) => {
    await expect(runStage({ ...request, options })).rejects.toThrow(message)
    await expect(runStage({ ...request, options })).rejects.toBeInstanceOf(UserError)
    expect(existsSync(request.output)).toBe(false)
  })

  it('refuses a model that does not fit the data', async () => {
    const running = runStage({
      ...request,
      model: { file: inFolder('seven.onnx') },
      options: { stage: 'train', epochs: 1 },
      data: tinyData,
    })
    await expect(running).rejects.toThrow(/7 outputs for the 4 classes/)
  })
})
