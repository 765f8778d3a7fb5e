// A model of TensorFlow.js as the teacher of a recipe.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import sharp from 'sharp'
import { random } from '../../../base/random.ts'
import { localModel } from '../../../pipeline/local-models.ts'
import { saveLayers, tf } from '../../models/tfjs/support.ts'
import { temporaryFolder } from '../../pipeline/tiny.ts'
import { folderOf, wholeRun } from '../../pipeline/whole.ts'

const { layers } = tf

it('is distilled and quantized, fed with the channels of a pixel side by side', async () => {
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < 90; index++) {
    const { integer } = random(8, 'pictures', index)
    const pixels = Uint8Array.from(
      { length: 12 * 10 * 3 },
      (_, at) => integer(150) + (at % 3 === index % 3 ? 100 : 0),
    )
    const raw = { width: 10, height: 12, channels: 3 } as const
    files[`${'abc'[index % 3]}/${index}.png`] = await sharp(pixels, { raw }).png().toBuffer()
  }
  const model = tf.sequential()
  model.add(
    layers.conv2d({ filters: 6, kernelSize: 3, inputShape: [12, 10, 3], activation: 'relu' }),
  )
  model.add(layers.maxPooling2d({ poolSize: 2 }))
  model.add(layers.flatten())
  model.add(layers.dense({ units: 3, activation: 'softmax' }))
  const file = await saveLayers(model, 'uint8')
  const { report, logs } = await wholeRun({
    data: { format: 'images', path: folderOf(files) },
    preprocess: { layout: 'nhwc' },
    teacher: {
      model: { file },
      train: { epochs: 4, batch: 8, optimizer: { name: 'adam', rate: 0.01 } },
    },
    stages: [
      {
        stage: 'distill',
        student: { architecture: 'mlp', hidden: [8] },
        ...{ epochs: 8, batch: 8, optimizer: { name: 'adam', rate: 0.01 } },
      },
      { stage: 'quantize', scheme: 'static', calibration: { samples: 32 } },
      { stage: 'quantize', id: 'teacher-8bit', from: 'teacher', scheme: 'dynamic' },
    ],
  })
  expect(logs.join('\n')).toMatch(/model\.json: converted to ONNX/)
  expect(report.teacher.accuracy?.top1).toBeGreaterThan(0.6)
  for (const { retention } of report.variants) expect(retention?.agreement).toBeGreaterThan(0.5)
  expect(readdirSync(join(file, '..')).sort()).toEqual([
    'group1-shard1of2.bin',
    'group1-shard2of2.bin',
    'model.json',
  ])
})

it('is compared as it is', async () => {
  const model = tf.sequential()
  model.add(layers.dense({ units: 5, inputShape: [4], activation: 'tanh' }))
  model.add(layers.dense({ units: 2 }))
  const file = await saveLayers(model)
  const rows = Array.from({ length: 40 }, (_, index) => {
    const { normal } = random(9, 'rows', index)
    return `${JSON.stringify({ x: [normal(), normal(), normal(), normal()] })}\n`
  })
  const { report } = await wholeRun({
    task: 'match',
    data: { format: 'jsonl', path: folderOf({ 'train.jsonl': rows.join('') }) },
    teacher: { model: { file } },
    stages: [{ stage: 'quantize', scheme: 'dynamic' }],
  })
  expect(report.teacher.file).toMatch(/\.onnx$/)
  expect(report.variants[0]?.accuracy?.value).toBeGreaterThan(0.95)
})

it('is not mistaken for another whose weights alone differ, though they share their description', async () => {
  const model = tf.sequential()
  model.add(layers.dense({ units: 2, inputShape: [4] }))
  const file = await saveLayers(model)
  const context = { cacheFolder: temporaryFolder() }
  const [first, same] = [await localModel({ file }, context), await localModel({ file }, context)]
  const shard = join(file, '..', 'group1-shard1of2.bin')
  writeFileSync(
    shard,
    readFileSync(shard).map((byte) => byte ^ 1),
  )
  const other = await localModel({ file }, context)
  expect(same.source.file).toBe(first.source.file)
  expect(other.source.file).not.toBe(first.source.file)
})
