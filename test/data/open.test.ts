import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { batches } from '../../data/batches.ts'
import { checkData, openData } from '../../data/open.ts'
import { readers } from '../../data/readers/index.ts'
import { dataOptions, sources } from '../../data/sources.ts'
import { itWithShared, sharedData } from '../support/shared.ts'
import { smallIdx, temporaryFolders, writeFiles } from './support.ts'

const folder = temporaryFolders()
const log = () => undefined

describe('the schema of data', () => {
  it('fills in defaults', () => {
    expect(dataOptions.parse({ source: 'digits' })).toEqual({
      source: 'digits',
      preprocess: { scale: 1 / 255, mean: 0, std: 1, pad: 0 },
      train: {},
      test: {},
      validation: 0.1,
    })
  })

  it('accepts its own output', () => {
    const options = dataOptions.parse({ format: 'idx', path: 'x', train: { limit: 5 } })
    expect(dataOptions.parse(options)).toEqual(options)
  })

  it.each<[unknown, string, string]>([
    [{}, '', "give a 'source'"],
    [{ source: 'mnits' }, 'source', 'expected one of'],
    [{ source: 'mnist', format: 'idx', path: 'x' }, 'format', "give either 'source' or 'format'"],
    [{ source: 'mnist', path: 'x' }, 'path', "goes with 'format'"],
    [{ format: 'idx' }, 'path', "needs the 'path'"],
    [{ path: 'x' }, '', "give a 'source'"],
    [{ format: 'png', path: 'x' }, 'format', 'expected one of'],
    [{ source: 'digits', shuffle: true }, '', 'Unrecognized key'],
    [{ source: 'digits', preprocess: { mean: 'a' } }, 'preprocess.mean', 'expected a number, or'],
    [{ source: 'digits', preprocess: { std: 0 } }, 'preprocess.std', 'expected a number, or|>0'],
    [{ source: 'digits', preprocess: { crop: 1 } }, 'preprocess', 'Unrecognized key'],
    [{ source: 'digits', train: { limit: 0 } }, 'train.limit', '>=1'],
    [{ source: 'digits', validation: 1 }, 'validation', '<1'],
  ])('refuses %j at %j', (options, path, message) => {
    const { error } = dataOptions.safeParse(options)
    expect(error?.issues[0]?.path.join('.')).toBe(path)
    expect(error?.issues[0]?.message).toMatch(new RegExp(message))
  })

  it('describes every field, for editors', () => {
    const schema = z.toJSONSchema(dataOptions, { io: 'input' })
    expect(schema.oneOf).toEqual([{ required: ['source'] }, { required: ['format', 'path'] }])
    for (const field of Object.values(schema.properties ?? {}))
      expect(field).toHaveProperty('description')
  })

  it('names formats that have a reader', () => {
    for (const { format } of Object.values(sources)) expect(readers).toHaveProperty(format)
    for (const format of dataOptions.shape.format.unwrap().options)
      expect(readers).toHaveProperty(format)
  })
})

describe('a data set of one’s own', () => {
  it('is checked without reading it, and opened', async () => {
    const path = writeFiles(folder(), smallIdx)
    const options = dataOptions.parse({
      format: 'idx',
      path,
      preprocess: { pad: 1 },
      test: { limit: 1 },
      validation: 0.5,
    })
    const facts = {
      source: path,
      format: 'idx',
      folder: path,
      shape: [1, 4, 5],
      classes: ['0', '1', '2'],
      trainSize: 6,
      testSize: 1,
    }
    expect(await checkData(options, { cacheFolder: folder() })).toEqual(facts)
    const opened = await openData(options, { cacheFolder: folder(), seed: 1, calibration: 2, log })
    expect(opened.facts).toEqual(facts)
    expect(opened.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    const { train, validation, calibration, test } = opened.splits
    expect([train.size, validation.size, calibration.size, test.size]).toEqual([3, 3, 2, 1])
  })

  it('that is absent is refused', async () => {
    const path = join(folder(), 'absent')
    const failed = checkData(dataOptions.parse({ format: 'idx', path }), { cacheFolder: folder() })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(`data.path: no such folder: '${path}' — check the path`)
  })

  it.each([
    ['a loop of links', 'loop', /symbolic links form a loop/],
    ['a file', '/etc/hostname', /data.path: no such folder/],
  ])('that is %s is refused', async (_, target, message) => {
    const path = join(folder(), 'loop')
    symlinkSync(target, path)
    const failed = checkData(dataOptions.parse({ format: 'idx', path }), { cacheFolder: folder() })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(message)
  })

  it('with a mean that does not fit is refused before reading', async () => {
    const path = writeFiles(folder(), smallIdx)
    const options = dataOptions.parse({ format: 'idx', path, preprocess: { mean: [1, 2, 3] } })
    await expect(checkData(options, { cacheFolder: folder() })).rejects.toThrow(
      'data.preprocess.mean: the images have 1 channels: 3 values',
    )
  })
})

describe('a well-known data set', () => {
  const mnist = dataOptions.parse({ source: 'mnist' })

  it('is looked for in the data folder, then in the cache', async () => {
    const [dataFolder, cacheFolder] = [folder(), folder()]
    const inCache = writeFiles(join(cacheFolder, 'data', 'mnist'), smallIdx)
    expect((await checkData(mnist, { cacheFolder, dataFolder })).folder).toBe(inCache)
    const inData = writeFiles(join(dataFolder, 'mnist'), smallIdx)
    expect(await checkData(mnist, { cacheFolder, dataFolder })).toMatchObject({
      source: 'mnist',
      folder: inData,
      classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
    })
  })

  it('that is absent is refused with the folders looked in', async () => {
    const [dataFolder, cacheFolder] = [folder(), folder()]
    const failed = checkData(mnist, { cacheFolder, dataFolder })
    await expect(failed).rejects.toThrow(UserError)
    await expect(failed).rejects.toThrow(
      `data.source: 'mnist' was not found: looked in ${dataFolder}/mnist and ${cacheFolder}/data/mnist — put its IDX files there, or set CONDENSE_DATA to the folder that holds 'mnist'`,
    )
  })

  it('of digits needs no folder', async () => {
    const options = dataOptions.parse({ source: 'digits', train: { limit: 1000 } })
    const { splits, facts } = await openData(options, { cacheFolder: folder(), seed: 7, log })
    expect(facts).toMatchObject({ source: 'digits', trainSize: 1000, testSize: 2000 })
    expect([splits.train.size, splits.validation.size]).toEqual([900, 100])
    expect(splits.train.classes).toHaveLength(10)
  })
})

// Mean and deviation of the training pixels as they are widely published for these data sets.
const known = [
  ['mnist', [1, 28, 28], 60000, [0.1307], [0.3081]],
  ['fashion-mnist', [1, 28, 28], 60000, [0.286], [0.353]],
  ['cifar10', [3, 32, 32], 20000, [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]],
] as const

for (const [source, shape, trainSize, mean, std] of known)
  itWithShared(`reads the real ${source}`, async () => {
    const options = dataOptions.parse({
      source,
      preprocess: { mean: [...mean], std: [...std] },
      train: { limit: 2000 },
    })
    const folders = { cacheFolder: folder(), dataFolder: sharedData }
    const facts = await checkData({ ...options, train: {} }, folders)
    expect(facts).toMatchObject({ source, shape, trainSize, testSize: 10000 })
    expect(facts.classes).toHaveLength(10)
    const { splits } = await openData(options, { ...folders, seed: 7, log })
    expect([splits.train.size, splits.validation.size]).toEqual([1800, 200])
    const plane = shape[1] * shape[2]
    const sums = new Float64Array(shape[0])
    const squares = new Float64Array(shape[0])
    for (const { inputs } of batches(splits.train, { size: 256 }))
      for (let at = 0; at < inputs.length; at++) {
        const channel = Math.floor(at / plane) % shape[0]
        sums[channel]! += inputs[at]!
        squares[channel]! += inputs[at]! ** 2
      }
    for (const [channel, sum] of sums.entries()) {
      const [average, power] = [sum / (1800 * plane), squares[channel]! / (1800 * plane)]
      expect(Math.abs(average)).toBeLessThan(0.05)
      expect(Math.abs(Math.sqrt(power - average ** 2) - 1)).toBeLessThan(0.05)
    }
  })
