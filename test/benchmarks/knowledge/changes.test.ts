import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import type { Samples } from '../../../base/samples.ts'
import { attack } from '../../../benchmarks/knowledge/attack.ts'
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
async function valuesOf(change: Change, data = images): Promise<Float32Array> {
  const samples = await changed(data, indices, change)
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

const plain = await valuesOf({ kind: 'contrast', column: 0, factor: 1 })
const channelMeans = (values: Float32Array) =>
  Array.from({ length: 6 }, (_, at) => {
    const plane = values.subarray(at * 48, (at + 1) * 48)
    return plane.reduce((sum, value) => sum + value, 0) / 48
  })

describe('changed', () => {
  it('leaves images alone at no strength', async () => {
    const samples = new Float32Array(2 * width)
    for (const row of [0, 1]) images.read(indices[row]!, 0, samples, row * width)
    expect(plain).toEqual(samples)
    const changes = [
      { kind: 'blur', column: 0, sigma: 0 },
      { kind: 'noise', column: 0, deviation: 0, seed: 1 },
      { kind: 'brightness', column: 0, share: 0 },
    ] as const
    for (const change of changes) expect(await valuesOf(change)).toEqual(samples)
  })

  it('adds noise of a deviation, within black and white, the same for the same seed', async () => {
    const noisy = (seed: number) => valuesOf({ kind: 'noise', column: 0, deviation: 0.05, seed })
    const values = await noisy(1)
    const differences = values.map((value, i) => value - plain[i]!)
    // What is cut off at black and white makes it a little less.
    const deviation = Math.sqrt(differences.reduce((sum, x) => sum + x * x, 0) / differences.length)
    expect(deviation).toBeGreaterThan(0.04)
    expect(deviation).toBeLessThan(0.055)
    expect(Math.max(...values)).toBeLessThanOrEqual(1)
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
    expect(await noisy(1)).toEqual(values)
    expect(await noisy(2)).not.toEqual(values)
  })

  it('gives a sample the same noise wherever it stands', async () => {
    const change = { kind: 'noise', column: 0, deviation: 0.1, seed: 4 } as const
    const [there, here] = [new Float32Array(width), new Float32Array(width)]
    const both = await changed(images, Uint32Array.of(0, 3), change)
    both.read(1, 0, there, 0)
    const alone = await changed(images, Uint32Array.of(3), change)
    alone.read(0, 0, here, 0)
    expect(there).toEqual(here)
  })

  it('blurs without moving or darkening a flat image, and spreads a point', async () => {
    const point = new Uint8Array(2 * width).fill(90)
    point[3 * 8 + 4] = 255
    const data = imagesOf(point, shape, { labels: new Int32Array(2) })
    const samples = await changed(data, Uint32Array.of(0), { kind: 'blur', column: 0, sigma: 0.8 })
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

  it('draws every channel to its mean', async () => {
    const weak = await valuesOf({ kind: 'contrast', column: 0, factor: 0.25 })
    const means = channelMeans(plain)
    for (const [at, mean] of channelMeans(weak).entries()) expect(mean).toBeCloseTo(means[at]!, 5)
    expect(weak[5]! - means[0]!).toBeCloseTo(0.25 * (plain[5]! - means[0]!), 5)
  })

  it('lightens every pixel by as much, up to white', async () => {
    const lighter = await valuesOf({ kind: 'brightness', column: 0, share: 0.3 })
    for (const [i, value] of lighter.entries())
      expect(value).toBeCloseTo(Math.min(1, plain[i]! + 0.3), 6)
  })

  it('puts images through JPEG, the worse the lower its quality', async () => {
    const smooth = Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => {
      const [row, column] = [Math.floor(i / 32) % 32, i % 32]
      return 128 + 90 * Math.sin((row + 2 * column) / 9 + Math.floor(i / 1024))
    })
    const error = async (data: typeof images, size: number, quality: number) => {
      const [one] = [Uint32Array.of(0)]
      const samples = await changed(data, one, { kind: 'jpeg', column: 0, quality })
      const [before, after] = [new Float32Array(size), new Float32Array(size)]
      data.read(0, 0, before, 0)
      samples.read(0, 0, after, 0)
      return Math.sqrt(after.reduce((sum, x, i) => sum + (x - before[i]!) ** 2, 0) / size)
    }
    const colour = imagesOf(smooth, [3, 32, 32], { labels: new Int32Array(1) })
    const grey = imagesOf(smooth.slice(0, 1024), [1, 32, 32], { labels: new Int32Array(1) })
    for (const [data, size] of [
      [colour, 3072],
      [grey, 1024],
    ] as const) {
      const errors = []
      for (const quality of [100, 25, 7]) errors.push(await error(data, size, quality))
      expect(errors).toEqual([...errors].sort((a, b) => a - b))
      // Chroma at half the resolution and rounding to bytes, no more.
      expect(errors[0]).toBeLessThan(0.03)
      expect(errors[2]).toBeGreaterThan(2 * errors[0]!)
    }
    const preprocess = preprocessOptions.parse({ layout: 'nhwc', colour: 'bgr', mean: 0.4, std: 2 })
    const turned = imagesOf(smooth, [3, 32, 32], { labels: new Int32Array(1), preprocess })
    expect(2 * (await error(turned, 3072, 15))).toBeCloseTo(await error(colour, 3072, 15), 5)
    const four = imagesOf(smooth.slice(0, 1024), [4, 16, 16], { labels: new Int32Array(1) })
    await expect(error(four, 1024, 25)).rejects.toThrow('one or three channels, not 4')
  })

  it('steps along the sign of each direction, in the order that the model takes', async () => {
    const rows = [0, 1].map((row) => Array.from({ length: width }, (_, i) => ((i + row) % 3) - 1))
    const change = { kind: 'step', column: 0, directions: directions(rows), size: 0.1 } as const
    const stepped = await valuesOf(change)
    const expected = plain.map((value, i) =>
      Math.min(1, Math.max(0, value + 0.1 * rows.flat()[i]!)),
    )
    for (const [i, value] of stepped.entries()) expect(value).toBeCloseTo(expected[i]!, 6)
  })

  it('shifts by as much as each direction says, within black and white', async () => {
    const rows = [0, 1].map((row) => Array.from({ length: width }, (_, i) => ((i + row) % 5) / 4))
    const change = { kind: 'shift', column: 0, directions: directions(rows), size: 0.2 } as const
    for (const [i, value] of (await valuesOf(change)).entries())
      expect(value).toBeCloseTo(Math.min(1, plain[i]! + 0.2 * rows.flat()[i]!), 6)
  })

  it('changes pixels of models with other orders of axes and colours alike', async () => {
    const preprocess = preprocessOptions.parse({ layout: 'nhwc', colour: 'bgr', mean: 0.4, std: 2 })
    const turned = imagesOf(bytes, shape, { labels: new Int32Array(4), preprocess })
    const change = { kind: 'contrast', column: 0, factor: 0.5 } as const
    const [planes, pixels] = [await valuesOf(change), await valuesOf(change, turned)]
    // The value of channel 2 at (1, 3), which is the first of its pixel there.
    expect(pixels[(8 + 3) * 3]).toBeCloseTo((planes[2 * 48 + 8 + 3]! - 0.4) / 2, 6)
  })
})

describe('attack', () => {
  const plan = { indices, column: 0, size: 0.1, steps: 5, seed: 1 }

  it('ends at the corner of the bound that a steady gradient points to', async () => {
    const slope = Float32Array.from({ length: 2 * width }, (_, i) => ((i % 3) - 1) * 1e-9)
    const found = await attack(images, plan, async () => slope)
    for (const [i, value] of found.entries())
      if (slope[i] !== 0) expect(value).toBe(Math.sign(slope[i]!))
    expect(Math.max(...found.map(Math.abs))).toBeLessThanOrEqual(1)
  })

  it('climbs where one step along the gradient passes over the top', async () => {
    // The loss is -(x - top)² of every value; the top lies a third of the bound away.
    const start = plain
    const top = start.map((value) => value + 0.1 / 3)
    const read = (samples: Samples) => {
      const values = new Float32Array(2 * width)
      for (const row of [0, 1]) samples.read(row, 0, values, row * width)
      return values
    }
    const found = await attack(images, { ...plan, steps: 20 }, async (samples) =>
      read(samples).map((value, i) => top[i]! - value),
    )
    // White and black end the way of some.
    for (const [i, value] of found.entries())
      if (top[i]! <= 1) expect(Math.abs(value - 1 / 3)).toBeLessThan(0.13)
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
