// A teacher in a folder laid out as on the Hugging Face Hub: its own files say how it is fed.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import sharp from 'sharp'
import { random } from '../../../base/random.ts'
import {
  buildArchitecture,
  type DataInput,
  oneInput,
  type Report,
  runStage,
  type StageRequest,
  serializeModel,
} from '../../../index.ts'
import { commandsIn } from '../../cli/program.ts'
import { temporaryFolder } from '../../pipeline/tiny.ts'
import { folderOf, wholeRun } from '../../pipeline/whole.ts'

const cacheFolder = temporaryFolder()
const commands = commandsIn(temporaryFolder())
const classes = ['red', 'green', 'blue']
let images: string
const model = serializeModel(
  buildArchitecture(
    { architecture: 'lenet', channels: [4, 6], hidden: [8] },
    { ...oneInput([3, 16, 16], 3), seed: 5 },
  ),
)

/** Noisy pictures of one colour, of several sizes. */
beforeAll(async () => {
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < 90; index++) {
    const { integer } = random(7, 'pictures', index)
    const side = 20 + integer(8)
    const pixels = Uint8Array.from(
      { length: side * side * 3 },
      (_, at) => integer(200) + (at % 3 === index % 3 ? 50 : 0),
    )
    const raw = { width: side, height: side, channels: 3 } as const
    files[`${classes[index % 3]}/${index}.png`] = await sharp(pixels, { raw }).png().toBuffer()
  }
  images = folderOf(files)
})

const processor = {
  image_processor_type: 'ViTImageProcessor',
  do_resize: true,
  size: { height: 16, width: 16 },
  resample: 3,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.4, 0.3],
  image_std: [0.2, 0.3, 0.4],
  do_pad: true,
}
const hub = () =>
  folderOf({
    'onnx/model.onnx': model,
    'config.json': JSON.stringify({
      num_channels: 3,
      id2label: { 0: 'Blue', 1: 'Red', 2: 'GREEN' },
    }),
    'preprocessor_config.json': JSON.stringify(processor),
  })

/** The same by hand: classes in the order of the model, which the data has by the alphabet. */
const byHand: Pick<StageRequest, 'preprocess'> & Pick<DataInput, 'features'> = {
  preprocess: { scale: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] },
  features: {
    image: { kind: 'image', column: 'image', resize: [16, 16], interpolation: 'bicubic' },
  },
}

describe('a folder of the Hub', () => {
  it('gives preprocessing, sizes and names of classes to a recipe that has none', async () => {
    const stages = [{ stage: 'quantize', scheme: 'static', calibration: { samples: 32 } }] as const
    const data = { format: 'images', path: images } as const
    const own = await wholeRun({ data, teacher: { model: { file: hub() } }, stages: [...stages] })
    const plain = folderOf({
      'model.onnx': model,
      'config.json': JSON.stringify({ id2label: { 0: 'blue', 1: 'red', 2: 'green' } }),
    })
    const told = await wholeRun({
      data: { ...data, features: byHand.features },
      preprocess: byHand.preprocess,
      teacher: { model: { file: join(plain, 'model.onnx') } },
      stages: [...stages],
    })
    expect(own.logs.join('\n')).toMatch(/preprocessor_config\.json: not applied: do_pad/)
    const figures = ({ report }: typeof own) =>
      [report.teacher, ...report.variants].map(({ accuracy, retention }) => [
        ...[accuracy?.top1, accuracy?.metrics, Object.values(accuracy?.perClass ?? {})],
        retention,
      ])
    const withoutNames = (value: unknown) => JSON.stringify(value).toLowerCase()
    expect(withoutNames(figures(own))).toBe(withoutNames(figures(told)))
    const preparation = JSON.parse(readFileSync(join(own.outFolder, 'preparation.json'), 'utf8'))
    expect(preparation).toMatchObject({
      classes: ['Blue', 'Red', 'GREEN'],
      preprocess: byHand.preprocess,
      features: { image: { resize: [16, 16], interpolation: 'bicubic' } },
    })
  })

  it('is taken by single stages and benchmarks of the command line, as a folder or the file in it', async () => {
    const condense = async (...args: string[]) => {
      const data = `{ format: images, path: ${images} }`
      const { status, stdout, stderr } = await commands(...args, '--data', data)
      expect([status, stderr.includes('Error')]).toEqual([0, false])
      return stdout
    }
    const folder = temporaryFolder()
    const [own, told] = [join(folder, 'own.onnx'), join(folder, 'told.onnx')]
    const options = ['--scheme', 'static', '--calibration.samples', '32', '--threads', '1']
    await condense('quantize', hub(), '-o', own, ...options)
    await runStage({
      options: { stage: 'quantize', scheme: 'static', calibration: { samples: 32 } },
      model: { file: join(folderOf({ 'model.onnx': model }), 'model.onnx') },
      ...{ output: told, cacheFolder, threads: 1 },
      data: { format: 'images', path: images, features: byHand.features },
      preprocess: byHand.preprocess,
    })
    expect(readFileSync(own).equals(readFileSync(told))).toBe(true)
    const file = join(hub(), 'onnx', 'model.onnx')
    const report = JSON.parse(
      await condense('bench', file, own, '--seconds', '0.02', '--no-knowledge', '--json'),
    ) as Report
    expect(Object.keys(report.teacher.accuracy?.perClass ?? {})).toEqual(['Blue', 'Red', 'GREEN'])
    expect(report.variants.map(({ id }) => id)).toEqual(['own'])
    expect(report.variants[0]?.retention?.agreement).toBeGreaterThan(0.8)
  })
})
