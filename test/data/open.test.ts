import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { type OpenOptions, openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { readers } from '../../data/readers/index.ts'
import { dataOptions, locate, sources } from '../../data/sources.ts'
import { smallIdx, temporaryFolders, writeFiles } from './support.ts'

const folder = temporaryFolders()
const log = () => undefined

/** Opens data as a recipe of classification without a model does. */
const open = (
  options: z.input<typeof dataOptions>,
  rest: Partial<OpenOptions> = {},
  preprocess: z.input<typeof preprocessOptions> = {},
) =>
  openData(dataOptions.parse(options), {
    ...{ cacheFolder: folder(), seed: 1, target: 'class', version: 'test', log },
    preprocess: preprocessOptions.parse(preprocess),
    ...rest,
  })

describe('the schema of data', () => {
  it('fills in defaults', () => {
    expect(dataOptions.parse({ source: 'digits' })).toEqual({
      source: 'digits',
      download: true,
      targetScale: 1,
      damaged: 'refuse',
      train: {},
      test: { share: 0.2 },
      validation: 0.1,
    })
  })

  it('accepts its own output', () => {
    const options = dataOptions.parse({ format: 'idx', path: 'x', train: { limit: 5 } })
    expect(dataOptions.parse(options)).toEqual(options)
  })

  it.each<[unknown, string, string]>([
    [{}, '', "give a 'source'"],
    [{ source: 'mnits' }, 'source', 'expected one of "digits"\\|'],
    [{ source: 'toString' }, 'source', 'expected one of'],
    [{ source: 'mnist', format: 'idx', path: 'x' }, 'format', "give either 'source' or 'format'"],
    [{ source: 'mnist', path: 'x' }, 'path', "goes with 'format'"],
    [{ format: 'idx' }, 'path', "needs the 'path'"],
    [{ path: 'x' }, '', "give a 'source'"],
    [{ format: 'png', path: 'x' }, 'format', 'expected one of'],
    [{ source: 'digits', shuffle: true }, '', 'Unrecognized key'],
    [{ source: 'digits', preprocess: {} }, '', 'Unrecognized key'],
    [{ format: 'csv', path: 'x', csv: { delimeter: ';' } }, 'csv', 'Unrecognized key'],
    [
      { source: 'digits', features: { '1': { kind: 'tensor', column: 'image' } } },
      'features.1',
      '',
    ],
    [{ source: 'digits', features: { x: { kind: 'tensors' } } }, 'features.x.kind', ''],
    [{ source: 'digits', damaged: 'ignore' }, 'damaged', 'refuse'],
    [{ source: 'digits', test: { share: 1 } }, 'test.share', '<1'],
    [{ source: 'digits', train: { limit: 0 } }, 'train.limit', '>=1'],
    [{ source: 'digits', validation: 1 }, 'validation', '<1'],
  ])('refuses %j at %j', (options, path, message) => {
    const { error } = dataOptions.safeParse(options)
    expect(error?.issues[0]?.path.join('.')).toBe(path)
    expect(error?.issues[0]?.message).toMatch(new RegExp(message))
  })

  it('describes every field, for editors', () => {
    const schema = z.toJSONSchema(dataOptions, { io: 'input' })
    expect(schema.oneOf).toEqual([{ required: ['source'] }, { required: ['format'] }])
    for (const field of Object.values(schema.properties ?? {}))
      expect(field).toHaveProperty('description')
  })

  it('names formats that have a reader', () => {
    for (const { format } of Object.values(sources)) expect(readers).toHaveProperty(format)
    for (const format of dataOptions.shape.format.unwrap().options)
      expect(readers).toHaveProperty(format)
  })
})

describe('the schema of preprocess', () => {
  it.each<[unknown, string, string]>([
    [{ mean: 'a' }, 'mean', 'expected a number, or'],
    [{ std: 0 }, 'std', 'expected a number, or|>0'],
    [{ crop: 1 }, '', 'Unrecognized key'],
  ])('refuses %j at %j', (options, path, message) => {
    const { error } = preprocessOptions.safeParse(options)
    expect(error?.issues[0]?.path.join('.')).toBe(path)
    expect(error?.issues[0]?.message).toMatch(new RegExp(message))
  })
})

describe('a data set of one’s own', () => {
  it('is opened and split', async () => {
    const path = writeFiles(folder(), smallIdx)
    const options = { format: 'idx', path, test: { limit: 1 }, validation: 0.5 } as const
    const { facts, fingerprint, splits } = await open(options, { calibration: 2 }, { pad: 1 })
    expect(facts).toMatchObject({
      source: path,
      columns: [
        { name: 'image', dtype: 'float32', shape: [1, 4, 5] },
        { name: 'image.raw', dtype: 'uint8', shape: [2, 3, 1] },
        { name: 'image.planes', dtype: 'uint8', shape: [1, 2, 3] },
      ],
      classes: ['0', '1', '2'],
      targetWidth: 0,
      features: { image: { kind: 'tensor', column: 'image' } },
    })
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/)
    const { train, validation, calibration, test } = splits
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([3, 3, 2, 1])
    expect((await open(options, { calibration: 2 }, { pad: 1 })).fingerprint).toBe(fingerprint)
    expect((await open(options, { calibration: 2 })).fingerprint).not.toBe(fingerprint)
  })

  it('that is absent is refused', async () => {
    const path = join(folder(), 'absent')
    const failed = open({ format: 'idx', path })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(
      `data.path: no such file or folder: '${path}' — check the path`,
    )
  })

  it.each([
    ['a loop of links', 'loop', /loop: the path has symbolic links that lead in a circle/],
    ['a file', '/etc/hostname', /loop: a part of the path is a file, not a folder/],
  ])('that is %s is refused', async (_, target, message) => {
    const path = join(folder(), 'loop')
    symlinkSync(target, path)
    const failed = open({ format: 'idx', path })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(message)
    await expect(failed).rejects.not.toThrow(/\n/)
  })

  it('with a mean that does not fit is refused', async () => {
    const path = writeFiles(folder(), smallIdx)
    await expect(open({ format: 'idx', path }, {}, { mean: [1, 2, 3] })).rejects.toThrow(
      'preprocess.mean: the samples have 1 channel: 3 values',
    )
  })

  it('has its classes in the order of the model, matched by name', async () => {
    const path = writeFiles(folder(), { ...smallIdx, 'classes.txt': 'cat\ndog\nbird' })
    const model = { classes: ['Bird', 'fish', 'Cat', 'Dog'] }
    const lines: string[] = []
    const { splits, facts } = await open(
      { format: 'idx', path },
      { model, log: (line) => lines.push(line) },
    )
    expect(facts.classes).toEqual(model.classes)
    expect([...splits.test.labels]).toEqual([0, 2])
    expect(lines).toContainEqual(expect.stringContaining("'cat' is 2"))
  })
})

describe('a well-known data set', () => {
  const mnist = dataOptions.parse({ source: 'mnist', download: false })

  it('is looked for in the data folder, then in the cache', async () => {
    const [dataFolder, cacheFolder] = [folder(), folder()]
    const inCache = writeFiles(join(cacheFolder, 'data', 'mnist'), smallIdx)
    expect((await locate(mnist, { cacheFolder, dataFolder, log })).path).toBe(inCache)
    const inData = writeFiles(join(dataFolder, 'mnist'), smallIdx)
    expect(await locate(mnist, { cacheFolder, dataFolder, log })).toMatchObject({
      source: 'mnist',
      format: 'idx',
      path: inData,
      classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
    })
  })

  it('that is absent is refused with the folders looked in', async () => {
    const [dataFolder, cacheFolder] = [folder(), folder()]
    const failed = locate(mnist, { cacheFolder, dataFolder, log })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(
      `data.source: 'mnist' was not found: looked in ${dataFolder}/mnist and ${cacheFolder}/data/mnist — put its files there, set CONDENSE_DATA to the folder that holds 'mnist', or let it be downloaded`,
    )
  })

  it('of digits needs no folder', async () => {
    const { splits, facts } = await open({ source: 'digits', train: { limit: 1000 } }, { seed: 7 })
    expect(facts).toMatchObject({ source: 'digits' })
    const { train, validation, test } = splits
    expect([train.size, validation.size, test.size]).toEqual([900, 100, 2000])
    expect(train.classes).toHaveLength(10)
  })
})
