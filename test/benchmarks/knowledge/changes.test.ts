import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { type Change, changed, inputFacts } from '../../../benchmarks/knowledge/changes.ts'
import { writePredictions } from '../../../benchmarks/predictions-file.ts'
import { preprocessOptions } from '../../../data/preprocess.ts'
import { temporaryFolder, threeClasses } from '../../support/measured.ts'
import { imagesOf } from '../../support/samples.ts'

const folder = temporaryFolder()
const shape = [3, 6, 8]
const width = 3 * 6 * 8
const bytes = Uint8Array.from({ length: 4 * width }, (_, i) => (i * 37 + (i >> 3) * 11) % 256)
const images = imagesOf(bytes, shape, { labels: new Int32Array(4) })
const indices = Uint32Array.of(3, 1)

/** All values of the chosen images after a change. */
function valuesOf(change: Change, data = images): Float32Array {
  const samples = changed(data, indices, change)
  const values = new Float32Array(indices.length * width)
  for (const row of indices.keys()) samples.read(row, change.column, values, row * width)
  samples.close()
  return values
}

const directions = (rows: readonly (readonly number[])[]) => {
  const writer = writePredictions(join(folder, 'directions.predictions'))
  writer.add(Float32Array.from(rows.flat()), [rows[0]!.length])
  return writer.finish(rows.length)
}

const plain = valuesOf({ kind: 'contrast', column: 0, factor: 1 })
const channelMeans = (values: Float32Array) =>
  Array.from({ length: 6 }, (_, at) => {
    const plane = values.subarray(at * 48, (at + 1) * 48)
    return plane.reduce((sum, value) => sum + value, 0) / 48
  })

describe('changed', () => {
  it('leaves images alone at no strength', () => {
    const samples = new Float32Array(2 * width)
    for (const row of [0, 1]) images.read(indices[row]!, 0, samples, row * width)
    expect(plain).toEqual(samples)
    expect(valuesOf({ kind: 'blur', column: 0, sigma: 0 })).toEqual(samples)
    expect(valuesOf({ kind: 'noise', column: 0, deviation: 0, seed: 1 })).toEqual(samples)
  })

  it('adds noise of a deviation, within black and white, the same for the same seed', () => {
    const noisy = (seed: number) => valuesOf({ kind: 'noise', column: 0, deviation: 0.05, seed })
    const differences = noisy(1).map((value, i) => value - plain[i]!)
    // What is cut off at black and white makes it a little less.
    const deviation = Math.sqrt(differences.reduce((sum, x) => sum + x * x, 0) / differences.length)
    expect(deviation).toBeGreaterThan(0.04)
    expect(deviation).toBeLessThan(0.055)
    expect(Math.max(...noisy(1))).toBeLessThanOrEqual(1)
    expect(Math.min(...noisy(1))).toBeGreaterThanOrEqual(0)
    expect(noisy(1)).toEqual(noisy(1))
    expect(noisy(2)).not.toEqual(noisy(1))
  })

  it('gives a sample the same noise wherever it stands', () => {
    const change = { kind: 'noise', column: 0, deviation: 0.1, seed: 4 } as const
    const [there, here] = [new Float32Array(width), new Float32Array(width)]
    changed(images, Uint32Array.of(0, 3), change).read(1, 0, there, 0)
    changed(images, Uint32Array.of(3), change).read(0, 0, here, 0)
    expect(there).toEqual(here)
  })

  it('blurs without moving or darkening a flat image, and spreads a point', () => {
    const point = new Uint8Array(2 * width).fill(90)
    point[3 * 8 + 4] = 255
    const data = imagesOf(point, shape, { labels: new Int32Array(2) })
    const samples = changed(data, Uint32Array.of(0), { kind: 'blur', column: 0, sigma: 0.8 })
    const values = new Float32Array(width)
    samples.read(0, 0, values, 0)
    const flat = Math.fround(90 / 255)
    expect(values[48]).toBeCloseTo(flat, 6)
    // A Gaussian, normalised over the pixels that it covers.
    const weights = Array.from({ length: 7 }, (_, i) => Math.exp(-((i - 3) ** 2) / (2 * 0.64)))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const share = (weights[3]! * weights[2]!) / total ** 2
    expect(values[3 * 8 + 5]).toBeCloseTo(flat + share * (1 - flat), 6)
    expect(values[2 * 8 + 4]).toBeCloseTo(values[3 * 8 + 5]!, 6)
  })

  it('draws every channel to its mean', () => {
    const weak = valuesOf({ kind: 'contrast', column: 0, factor: 0.25 })
    const means = channelMeans(plain)
    for (const [at, mean] of channelMeans(weak).entries()) expect(mean).toBeCloseTo(means[at]!, 5)
    expect(weak[5]! - means[0]!).toBeCloseTo(0.25 * (plain[5]! - means[0]!), 5)
  })

  it('steps along the sign of each direction, in the order that the model takes', () => {
    const rows = [0, 1].map((row) => Array.from({ length: width }, (_, i) => ((i + row) % 3) - 1))
    const change = { kind: 'step', column: 0, directions: directions(rows), size: 0.1 } as const
    const stepped = valuesOf(change)
    const expected = plain.map((value, i) =>
      Math.min(1, Math.max(0, value + 0.1 * rows.flat()[i]!)),
    )
    for (const [i, value] of stepped.entries()) expect(value).toBeCloseTo(expected[i]!, 6)
  })

  it('changes pixels of models with other orders of axes and colours alike', () => {
    const preprocess = preprocessOptions.parse({ layout: 'nhwc', colour: 'bgr', mean: 0.4, std: 2 })
    const turned = imagesOf(bytes, shape, { labels: new Int32Array(4), preprocess })
    const change = { kind: 'contrast', column: 0, factor: 0.5 } as const
    const [planes, pixels] = [valuesOf(change), valuesOf(change, turned)]
    // The value of channel 2 at (1, 3), which is the first of its pixel there.
    expect(pixels[(8 + 3) * 3]).toBeCloseTo((planes[2 * 48 + 8 + 3]! - 0.4) / 2, 6)
  })
})

describe('inputFacts', () => {
  it('has one deviation for all values of images', () => {
    const all = [...indices].flatMap((index) => [...bytes.subarray(index * width).slice(0, width)])
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length
    const variance = all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / all.length
    expect(inputFacts(images, indices)).toEqual({
      column: 0,
      side: 6,
      deviation: expect.closeTo(Math.sqrt(variance) / 255, 5),
    })
  })

  it('has one for each value of other floats, and a reason where there are none', () => {
    const data = threeClasses(200)
    const found = inputFacts(
      data,
      Uint32Array.from({ length: 200 }, (_, i) => i),
    )
    expect(found).toMatchObject({ column: 0, side: undefined })
    const { deviation } = found as { deviation: Float32Array }
    expect(deviation).toHaveLength(4)
    for (const each of deviation) expect(Math.abs(each - 1)).toBeLessThan(0.15)
    const tokens = { ...data, columns: [{ name: 'text', dtype: 'int32' as const, shape: [8] }] }
    expect(inputFacts(tokens, indices)).toBe('the data has no input of floats')
    const two = { ...data, columns: [...data.columns, { ...data.columns[0]!, name: 'other' }] }
    expect(inputFacts(two, indices)).toBe('the data has 2 inputs of floats')
  })
})
