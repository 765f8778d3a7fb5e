// Preprocessing in the graph: the baked variant takes bytes and is as good as the model that it was made of.
import { join } from 'node:path'
import { beforeAll, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { random } from '../../base/random.ts'
import { loadModel, type RecipeInput } from '../../index.ts'
import { folderOf, quickly, refusal, tableOf, wholeRun } from '../pipeline/whole.ts'

let images: string
beforeAll(async () => {
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < 90; index++) {
    const { integer } = random(10, 'pictures', index)
    const pixels = Uint8Array.from(
      { length: 12 * 14 * 3 },
      (_, at) => integer(150) + (at % 3 === index % 3 ? 100 : 0),
    )
    const raw = { width: 14, height: 12, channels: 3 } as const
    files[`${'abc'[index % 3]}/${index}.png`] = await sharp(pixels, { raw }).png().toBuffer()
  }
  images = folderOf(files)
})

const baked = (
  preprocess: RecipeInput['preprocess'],
  bake: true | { layout: 'nchw' | 'nhwc' },
  providers: ('cpu' | 'wasm')[],
): Omit<RecipeInput, 'name'> => ({
  data: { format: 'images', path: images },
  preprocess,
  teacher: {
    model: { architecture: 'mlp', hidden: [8] },
    train: { epochs: 6, batch: 8, optimizer: { name: 'adam', rate: 0.01 } },
  },
  stages: [
    { stage: 'quantize', scheme: 'static', calibration: { samples: 32 } },
    { stage: 'export', bake },
    { stage: 'export', id: 'bytes', from: 'teacher', bake },
  ],
  benchmark: { ...quickly, providers },
})

it.each([
  ['plain', {}, true, [12, 14, 3], ['cpu']],
  [
    'colours the other way round, in planes',
    { colour: 'bgr', mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] },
    { layout: 'nchw' },
    [3, 12, 14],
    ['cpu'],
  ],
  [
    'a border, for a model of pixels',
    { pad: 2, layout: 'nhwc', colour: 'bgr', scale: 1, mean: [120, 110, 100], std: 60 },
    true,
    [12, 14, 3],
    ['cpu', 'wasm'],
  ],
] as [
  string,
  RecipeInput['preprocess'],
  true | { layout: 'nchw' },
  number[],
  ('cpu' | 'wasm')[],
][])('bakes preprocessing: %s', async (_, preprocess, bake, shape, asked) => {
  const { report, outFolder } = await wholeRun(baked(preprocess, bake, asked))
  const [quantized, small, bytes] = report.variants
  expect(report.teacher.accuracy?.top1).toBeGreaterThan(0.8)
  expect(bytes?.accuracy).toEqual(report.teacher.accuracy)
  expect(small?.accuracy?.top1).toBeCloseTo(quantized?.accuracy?.top1 ?? 0, 1)
  for (const { providers } of [small!, bytes!]) {
    expect(Object.values(providers).map(({ available }) => available)).not.toContain(false)
    expect(Object.keys(providers)).toEqual(asked)
    expect(providers.wasm?.agreementWithCpu ?? 1).toBeGreaterThan(0.9)
  }
  const { graph } = await loadModel(join(outFolder, bytes!.file))
  expect(graph.inputs.map(({ type }) => [type?.dtype, type?.shape?.slice(1)])).toEqual([
    ['uint8', shape],
  ])
})

it('refuses to bake where there are no images', async () => {
  expect(
    await refusal({
      data: { format: 'csv', path: tableOf() },
      teacher: { model: { architecture: 'mlp', hidden: [4] }, train: { epochs: 1 } },
      stages: [{ stage: 'export', bake: true }],
    }),
  ).toMatch(/stages\.0\.bake: the data has no images/)
})
