// What models are for: from the recipe, and where it says nothing from the files beside the model.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { hubConfigIn, localModel } from '../../pipeline/local-models.ts'
import { dataSetting, settingOptions } from '../../pipeline/setting.ts'
import { tasks } from '../../tasks/index.ts'
import { writeFiles } from '../data/support.ts'
import { temporaryFolder } from './tiny.ts'

const settingOf = (given: z.input<z.ZodObject<typeof settingOptions>> = {}) =>
  z.strictObject(settingOptions).parse(given)

/** A folder as an image model of the Hugging Face Hub has it. */
const hubFolder = (where = 'onnx/model.onnx') =>
  writeFiles(temporaryFolder(), {
    [where]: 'no model',
    'config.json': JSON.stringify({ id2label: { 0: 'cat', 1: 'dog' } }),
    'preprocessor_config.json': JSON.stringify({
      image_processor_type: 'ViTImageProcessor',
      ...{ do_resize: true, size: { height: 20, width: 30 }, resample: 2 },
      ...{ do_rescale: true, rescale_factor: 1 / 255 },
      ...{ do_normalize: true, image_mean: [0.1, 0.2, 0.3], image_std: [0.4, 0.5, 0.6] },
    }),
  })

describe('where a recipe says nothing', () => {
  it('the files of the model say how images are prepared and what classes are called', async () => {
    const folder = hubFolder()
    const setting = dataSetting(settingOf(), await hubConfigIn(folder), folder)
    expect(setting.target).toBe('class')
    expect(setting.preprocess).toMatchObject({ mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] })
    expect(setting.preprocess).toMatchObject({ layout: 'nchw', colour: 'rgb', pad: 0 })
    expect(setting.model).toMatchObject({ folder, classes: ['cat', 'dog'] })
    expect(setting.model!.features!.image).toMatchObject({ resize: [20, 30] })
  })

  it('defaults do where there are no such files', async () => {
    const folder = temporaryFolder()
    const hub = await hubConfigIn(folder)
    const { preprocess, model } = dataSetting(settingOf(), hub, folder)
    expect(preprocess).toMatchObject({ mean: 0, std: 1, pad: 0, layout: 'nchw', colour: 'rgb' })
    expect(model!.classes).toBeUndefined()
    expect(await hubConfigIn(undefined)).toBeUndefined()
  })
})

describe('what a recipe says', () => {
  it('goes before the files of the model, as a whole', async () => {
    const folder = hubFolder()
    const asked = settingOf({ preprocess: { mean: 0.5 } })
    const { preprocess } = dataSetting(asked, await hubConfigIn(folder), folder)
    expect(preprocess).toMatchObject({ mean: 0.5, std: 1 })
  })

  it.each(Object.keys(tasks) as (keyof typeof tasks)[])(
    'of task %s is what data must tell',
    (task) => {
      expect(dataSetting(settingOf({ task }), undefined, undefined).target).toBe(tasks[task].target)
    },
  )

  it('of inputs is passed on', () => {
    const inputs = { ids: { column: 'text' }, sr: { constant: 16000 }, s: { carry: 'sn' } }
    expect(dataSetting(settingOf({ inputs }), undefined, undefined).inputs).toEqual(inputs)
  })

  it.each([
    [
      { inputs: { x: { column: 'a', constant: 1 } } },
      'expected { column }, { constant } or { carry }',
    ],
    [{ inputs: { x: {} } }, 'expected { column }, { constant } or { carry }'],
    [{ inputs: { x: { column: 'a', chunk: 0 } } }, 'inputs'],
    [{ task: 'guessing' }, 'task'],
    [{ preprocess: { crop: 1 } }, 'crop'],
  ])('is refused where it is %j', (given, what) => {
    const { error } = z.strictObject(settingOptions).safeParse(given)
    expect(JSON.stringify(error?.issues)).toContain(what)
  })
})

describe('the model of a recipe', () => {
  const context = () => ({ cacheFolder: temporaryFolder(), log: () => undefined })

  it.each([
    ['a folder', (folder: string) => folder],
    ['the file in it', (folder: string) => join(folder, 'onnx', 'model.onnx')],
  ])('can be %s of the Hub, whose other files are found', async (_, of) => {
    const folder = hubFolder()
    const found = await localModel({ file: of(folder) }, context())
    expect('file' in found.source && found.source.file).toBe(join(folder, 'onnx', 'model.onnx'))
    expect((await hubConfigIn(found.folder))?.labels).toEqual(['cat', 'dog'])
  })

  it('can be a file that lies beside them', async () => {
    const folder = hubFolder('model.onnx')
    const found = await localModel({ file: join(folder, 'model.onnx') }, context())
    expect((await hubConfigIn(found.folder))?.labels).toEqual(['cat', 'dog'])
  })

  it('is no file where it is an architecture', async () => {
    const source = { architecture: 'mlp', hidden: [4] } as const
    expect(await localModel(source as never, context())).toEqual({ source, folder: undefined })
  })
})
