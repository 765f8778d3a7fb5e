// Opening data that is prepared first: from files by way of the cache, from modules each time.
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import { columnMemory } from '../../base/samples.ts'
import type { Dataset } from '../../data/dataset.ts'
import { type OpenOptions, openData } from '../../data/open.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { dataOptions } from '../../data/sources.ts'
import { newModel } from '../../onnx/build.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { predict } from '../../runtime/predict.ts'
import { tasks } from '../../tasks/index.ts'
import { temporaryFolder } from '../support/folder.ts'
import { writeFiles } from './support.ts'

/** Opens data and tells what was logged and whether rows were gone through. */
async function open(
  options: z.input<typeof dataOptions>,
  rest: Partial<OpenOptions> & Pick<OpenOptions, 'cacheFolder'>,
) {
  const lines: string[] = []
  const found = await openData(dataOptions.parse(options), {
    ...{ seed: 1, target: 'class', version: 'test' },
    preprocess: preprocessOptions.parse({}),
    log: (line) => lines.push(line),
    ...rest,
  })
  return { ...found, lines }
}

const prepared = (cacheFolder: string) => readdirSync(join(cacheFolder, 'prepared')).sort()

function valuesOf(dataset: Dataset, name?: string): number[][] {
  const at = name === undefined ? 0 : dataset.columns.findIndex((column) => column.name === name)
  return Array.from({ length: dataset.size }, (_, index) => {
    const memory = columnMemory(dataset.columns[at]!, 1)
    dataset.read(index, at, memory, 0)
    return [...memory]
  })
}

const animals = ['cat', 'dog', 'pig']
const csv = (rows = 60, shift = 0) =>
  [
    'a,b,animal',
    ...Array.from(
      { length: rows },
      (_, n) => `${n % 9},${(n * n) % 7},${animals[(n + shift) % 3]}`,
    ),
    '',
  ].join('\n')

/** A file of 60 rows, an empty cache, and how to open it. */
function setUp(files: Readonly<Record<string, string>> = {}) {
  const home = writeFiles(temporaryFolder(), { 'data.csv': csv(), ...files })
  const path = join(home, 'data.csv')
  utimesSync(path, 1000, 1000)
  return {
    path,
    cacheFolder: temporaryFolder(),
    options: { format: 'csv', path, target: 'animal' } as const,
  }
}

describe('data in files', () => {
  it('is prepared once: its rows are not read a second time', async () => {
    const { path, options, cacheFolder } = setUp()
    const first = await open(options, { cacheFolder })
    expect(first.facts).toMatchObject({ source: path, classes: animals })
    const before = prepared(cacheFolder)
    // The same size and time, and other labels: whoever reads it again would see them.
    writeFileSync(path, csv(60, 1))
    utimesSync(path, 1000, 1000)
    const second = await open(options, { cacheFolder })
    expect(second.fingerprint).toBe(first.fingerprint)
    expect([...second.splits.train.labels]).toEqual([...first.splits.train.labels])
    expect(valuesOf(second.splits.test)).toEqual(valuesOf(first.splits.test))
    expect(second.facts).toEqual(first.facts)
    expect(prepared(cacheFolder)).toEqual(before)
  })

  it.each<[string, (path: string) => void]>([
    ['another time', (path) => utimesSync(path, 1001, 1001)],
    ['another size', (path) => writeFileSync(path, `${readFileSync(path, 'utf8')}1,1,cat\n`)],
  ])('is prepared again where its file has %s', async (_, change) => {
    const { path, options, cacheFolder } = setUp()
    await open(options, { cacheFolder })
    const { size } = statSync(path)
    writeFileSync(path, csv(60, 1))
    expect(statSync(path).size).toBe(size)
    change(path)
    const { splits } = await open(options, { cacheFolder })
    expect(prepared(cacheFolder)).toHaveLength(2)
    const all = Object.values(splits).flatMap((split) =>
      valuesOf(split).map((_, at) => split.labels[at]!),
    )
    expect(all.length).toBeGreaterThan(60)
  })

  it('is prepared again for other options, features, seeds and versions', async () => {
    const { options, cacheFolder } = setUp()
    await open(options, { cacheFolder })
    await open({ ...options, validation: 0.3 }, { cacheFolder })
    await open(
      { ...options, features: { f: { kind: 'table', standardise: false } } },
      { cacheFolder },
    )
    await open(options, { cacheFolder, seed: 2 })
    await open(options, { cacheFolder, version: 'other' })
    expect(prepared(cacheFolder)).toHaveLength(5)
    // What is done when a batch is read asks for no new records.
    await open(options, { cacheFolder, inputs: { x: { column: 'features' } } })
    expect(prepared(cacheFolder)).toHaveLength(5)
  })

  it('that is damaged in the cache is prepared again, to the same', async () => {
    const { options, cacheFolder } = setUp()
    const first = await open(options, { cacheFolder })
    const [key] = prepared(cacheFolder)
    const records = join(cacheFolder, 'prepared', key!, 'train.records')
    writeFileSync(
      records,
      readFileSync(records).map((byte) => byte ^ 1),
    )
    const second = await open(options, { cacheFolder })
    expect(second.fingerprint).toBe(first.fingerprint)
    expect(valuesOf(second.splits.train)).toEqual(valuesOf(first.splits.train))
    expect(prepared(cacheFolder)).toEqual([key])
  })

  it('can be opened twice at once', async () => {
    const { options, cacheFolder } = setUp()
    const [one, two] = await Promise.all([1, 2].map(() => open(options, { cacheFolder })))
    expect(one!.fingerprint).toBe(two!.fingerprint)
    expect(valuesOf(one!.splits.train)).toEqual(valuesOf(two!.splits.train))
    expect(prepared(cacheFolder)).toHaveLength(1)
  })

  it('leaves nothing in the cache where it is refused', async () => {
    const { options, cacheFolder } = setUp({ 'data.csv': `${csv()}1,2,\n` })
    await expect(open(options, { cacheFolder })).rejects.toThrow(UserError)
    await expect(open(options, { cacheFolder })).rejects.toThrow(/data\.csv: line 62: .*animal/)
    expect(prepared(cacheFolder)).toEqual([])
    const { lines, splits } = await open({ ...options, damaged: 'skip' }, { cacheFolder })
    expect(lines).toEqual([expect.stringContaining('1 of 61 samples are damaged and left out')])
    const { train, validation, test } = splits
    expect(train.size + validation.size + test.size).toBe(60)
  })

  it('tells of what is left out once more when it is found in the cache', async () => {
    const { options, cacheFolder } = setUp({ 'data.csv': `${csv()}1,2,\n` })
    const skip = { ...options, damaged: 'skip' } as const
    const first = await open(skip, { cacheFolder })
    const second = await open(skip, { cacheFolder })
    expect(second.fingerprint).toBe(first.fingerprint)
    expect(second.splits.train.size).toBe(first.splits.train.size)
  })
})

describe('a well-known set', () => {
  it('knows its target', async () => {
    const line = (n: number) => `"my card number ${n}",${n % 2 ? 'lost_card' : 'top_up'}`
    const lines = ['text,category', ...Array.from({ length: 20 }, (_, n) => line(n)), '']
    const dataFolder = writeFiles(temporaryFolder(), {
      'banking77/train.csv': lines.join('\n'),
      'banking77/test.csv': lines.slice(0, 6).join('\n'),
    })
    const { splits, facts } = await open(
      { source: 'banking77' },
      { cacheFolder: temporaryFolder(), dataFolder },
    )
    expect(facts.classes).toEqual(['lost_card', 'top_up'])
    expect([splits.train.size + splits.validation.size, splits.test.size]).toEqual([20, 5])
    expect(facts.columns.map(({ name, dtype }) => `${name} ${dtype}`)).toContain('text int32')
  })
})

let count = 0
const moduleOf = (code: string) => {
  const name = `own-${count++}.mjs`
  return join(writeFiles(temporaryFolder(), { [name]: code }), name)
}

describe('data of a module', () => {
  const code = `
    export function* train() {
      for (let n = 0; n < 40; n++)
        yield { image: { shape: [1, 2, 2], values: Uint8Array.of(n, 1, 2, 3) }, label: n % 2 }
    }
    export const classes = ['even', 'odd']`

  it('is split, and the log says that its code is run', async () => {
    const source = moduleOf(code)
    const { splits, facts, lines } = await open({ source }, { cacheFolder: temporaryFolder() })
    expect(lines[0]).toBe(`${source}: the code of this module is run`)
    expect(facts).toMatchObject({ source, classes: ['even', 'odd'] })
    const { train, validation, test } = splits
    expect([train.size, validation.size, test.size]).toEqual([29, 3, 8])
    for (const split of [train, validation, test])
      for (const [at, image] of valuesOf(split).entries())
        expect(split.labels[at]).toBe(Math.round(image[0]! * 255) % 2)
  })

  it('is gone through anew each time, for it may have changed', async () => {
    const source = moduleOf(`export const train = () => globalThis.rowsOfTest`)
    const rows = Array.from({ length: 20 }, (_, n) => ({ x: n, label: n % 2 }))
    const cacheFolder = temporaryFolder()
    Object.assign(globalThis, { rowsOfTest: rows })
    const first = await open({ source }, { cacheFolder })
    const same = await open({ source }, { cacheFolder })
    Object.assign(globalThis, { rowsOfTest: rows.map(({ x, label }) => ({ x: -x, label })) })
    const other = await open({ source }, { cacheFolder })
    expect(same.fingerprint).toBe(first.fingerprint)
    expect(other.fingerprint).not.toBe(first.fingerprint)
  })

  it('that is damaged is refused with its name', async () => {
    const source = moduleOf(`export const train = [{ x: 1, label: 'a' }, { x: 'b', label: 'a' }]`)
    await expect(open({ source }, { cacheFolder: temporaryFolder() })).rejects.toThrow(
      "train: column 'x' was number and is now text",
    )
  })
})

describe('classes of data and model', () => {
  /** A model whose logits are the one-hot column `animal`, in an order of its own. */
  function modelFor(order: readonly number[]) {
    const { model, g } = newModel('m')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 3] })
    const weights = new Float32Array(9)
    for (const [place, from] of order.entries()) weights[from * 3 + place] = 1
    g.output('y', g.MatMul(x, tensorOf('float32', [3, 3], weights)), {
      dtype: 'float32',
      shape: ['N', 3],
    })
    return model
  }

  it.each([
    ['in the same order', [0, 1, 2]],
    ['in another order', [2, 0, 1]],
  ])('mean the same %s', async (_, order) => {
    const { path, cacheFolder } = setUp()
    const twice = readFileSync(path, 'utf8')
      .replace('a,b,animal', 'a,b,animal,kind')
      .replace(/,(cat|dog|pig)$/gm, ',$1,$1')
    writeFileSync(path, twice)
    const classes = order.map((index) => animals[index]!.toUpperCase())
    const { splits, facts } = await open(
      {
        ...{ format: 'csv', path, target: 'animal' },
        features: { x: { kind: 'table', columns: ['kind'] } },
      },
      { cacheFolder, model: { classes } },
    )
    expect(facts.classes).toEqual(classes)
    // The feature has a place for each kind in an order of its own.
    const { x } = facts.learned as { x: readonly [{ categories: readonly string[] }] }
    const places = order.map((index) => x[0].categories.indexOf(animals[index]!))
    const predictions = await predict(modelFor(places), splits.test)
    const { accuracy } = tasks.classification.evaluate(predictions, splits.test, predictions)
    expect(accuracy.value).toBe(1)
    expect(Object.keys(accuracy.perClass!)).toEqual(classes)
  })

  it('that the model does not have are refused', async () => {
    const { options, cacheFolder } = setUp()
    const model = { classes: ['cat', 'dog', 'cow'] }
    await expect(open(options, { cacheFolder, model })).rejects.toThrow("1 of the 3 classes of '")
    rmSync(cacheFolder, { recursive: true })
  })

  it('are those of the data where the model has placeholders', async () => {
    const { options, cacheFolder } = setUp()
    const model = { classes: ['LABEL_0', 'LABEL_1', 'LABEL_2'] }
    expect((await open(options, { cacheFolder, model })).facts.classes).toEqual(animals)
  })

  it('move sets of classes along', async () => {
    const lines = [
      'x,tags',
      ...Array.from({ length: 40 }, (_, n) => `${n},${n % 2 ? 'a|b' : 'c'}`),
      '',
    ]
    const path = join(writeFiles(temporaryFolder(), { 'tags.csv': lines.join('\n') }), 'tags.csv')
    const { splits } = await open(
      { format: 'csv', path, target: 'tags', features: { x: { kind: 'number', column: 'x' } } },
      {
        cacheFolder: temporaryFolder(),
        target: 'classes',
        model: { classes: ['c', 'x', 'b', 'a'] },
      },
    )
    const into = new Float32Array(4)
    const seen = new Set<string>()
    for (let index = 0; index < splits.test.size; index++) {
      splits.test.target(index, into, 0)
      seen.add(String([...into]))
    }
    expect([...seen].sort()).toEqual(['0,0,1,1', '1,0,0,0'])
    expect([...splits.test.labels].every((label) => label === 0)).toBe(true)
  })
})
