// Fixtures after the published files of google/vit-base-patch16-224, facebook/convnext-tiny-224, apple/mobilevit-small,
// openai/clip-vit-base-patch32, distilbert-base-uncased-finetuned-sst-2-english, facebook/wav2vec2-base and
// openai/whisper-tiny; expectations by what Transformers' processors do with them.
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { imageOptions } from '../../data/features/image.ts'
import { preprocessOptions } from '../../data/preprocess.ts'
import { findModel, readHubConfig } from '../../models/hub-config.ts'
import { temporaryFolder } from '../support/folder.ts'

function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = temporaryFolder()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(
      join(folder, name),
      typeof content === 'string' ? content : JSON.stringify(content),
    )
  }
  return folder
}

const read = (files: Readonly<Record<string, unknown>>) => readHubConfig(folderOf(files))
const readImages = (content: object, config?: object) =>
  read({ 'preprocessor_config.json': content, ...(config && { 'config.json': config }) })

const half = [0.5, 0.5, 0.5]
const mean = [0.485, 0.456, 0.406]
const std = [0.229, 0.224, 0.225]

describe('preprocessor_config.json', () => {
  it.each<[string, object, object, object]>([
    [
      'ViT, old',
      { do_normalize: true, do_resize: true, image_mean: half, image_std: half, size: 224 },
      { scale: 1 / 255, mean: half, std: half },
      { resize: [224, 224], interpolation: 'bilinear' },
    ],
    [
      'ViT',
      {
        ...{ do_normalize: true, do_rescale: true, do_resize: true, image_mean: half },
        ...{ image_processor_type: 'ViTFeatureExtractor', image_std: half, resample: 2 },
        ...{ rescale_factor: 0.00392156862745098, size: { height: 224, width: 224 } },
      },
      { scale: 0.00392156862745098, mean: half, std: half },
      { resize: [224, 224], interpolation: 'bilinear' },
    ],
    [
      'ConvNeXT',
      {
        ...{ crop_pct: 0.875, do_normalize: true, do_resize: true, image_mean: mean, resample: 3 },
        ...{ feature_extractor_type: 'ConvNextFeatureExtractor', image_std: std, size: 224 },
      },
      { scale: 1 / 255, mean, std },
      { resize: 256, centerCrop: 224, interpolation: 'bicubic' },
    ],
    [
      'ConvNeXT of 384 pixels, which is not cut',
      {
        ...{ crop_pct: 0.875, image_mean: mean, image_std: std, size: { shortest_edge: 384 } },
        ...{ image_processor_type: 'ConvNextImageProcessor', resample: 3 },
      },
      { scale: 1 / 255, mean, std },
      { resize: [384, 384], interpolation: 'bicubic' },
    ],
    [
      'MobileViT, old',
      {
        ...{ crop_size: 256, do_center_crop: true, do_flip_channel_order: true, do_resize: true },
        ...{ feature_extractor_type: 'MobileViTFeatureExtractor', resample: 2, size: 288 },
      },
      { scale: 1 / 255, colour: 'bgr' },
      { resize: 288, centerCrop: 256, interpolation: 'bilinear' },
    ],
    [
      'MobileViT',
      {
        ...{ crop_size: { height: 256, width: 256 }, do_center_crop: true, do_rescale: true },
        ...{ do_flip_channel_order: true, image_processor_type: 'MobileViTImageProcessor' },
        ...{ do_resize: true, resample: 2, rescale_factor: 1 / 255, size: { shortest_edge: 288 } },
      },
      { scale: 1 / 255, colour: 'bgr' },
      { resize: 288, centerCrop: [256, 256], interpolation: 'bilinear' },
    ],
    [
      'CLIP, old',
      {
        ...{ crop_size: 224, do_center_crop: true, do_normalize: true, do_resize: true },
        ...{ feature_extractor_type: 'CLIPFeatureExtractor', image_mean: mean, image_std: std },
        ...{ resample: 3, size: 224 },
      },
      { scale: 1 / 255, mean, std },
      { resize: 224, centerCrop: 224, interpolation: 'bicubic' },
    ],
    [
      'nothing but bytes',
      { do_resize: false, do_rescale: false, do_normalize: false, image_mean: mean },
      { scale: 1 },
      { interpolation: 'bilinear' },
    ],
  ])('%s', async (_, content, preprocess, image) => {
    const found = await readImages(content)
    expect(found.preprocess).toEqual(preprocess)
    expect(found.image).toEqual(image)
    expect(found.notes).toEqual([])
    expect(preprocessOptions.safeParse(found.preprocess).success).toBe(true)
    expect(imageOptions.safeParse({ kind: 'image', ...found.image }).success).toBe(true)
  })

  it('takes the number of channels from config.json', async () => {
    const found = await readImages({ size: 28 }, { num_channels: 1 })
    expect(found.image).toEqual({ channels: 1, resize: [28, 28], interpolation: 'bilinear' })
  })

  it.each<[object, RegExp]>([
    [{ do_resize: true }, /do_resize without size/],
    [{ size: { shortest_edge: 800, longest_edge: 1333 } }, /size\.longest_edge/],
    [{ size: { longest_edge: 1024 } }, /size without height and width/],
    [{ size: 224, do_center_crop: true }, /do_center_crop without crop_size/],
    [{ size: 224, do_normalize: true }, /do_normalize without image_mean/],
    [{ size: 224, do_pad: true }, /do_pad/],
    [{ size: 224, include_top: true }, /include_top/],
    [{ size: 224, rescale_offset: true }, /rescale_offset/],
    [{ size: 224, resample: 9 }, /resample: 9, which is no filter of Pillow/],
  ])('says what it does not do of %j', async (content, note) => {
    const { notes } = await readImages(content)
    expect(notes).toHaveLength(1)
    expect(notes[0]).toMatch(note)
    expect(notes[0]).toMatch(/preprocessor_config\.json: not applied: /)
  })

  it('gives what feature extractors for sound say', async () => {
    const wave = await readImages({
      ...{
        do_normalize: true,
        feature_extractor_type: 'Wav2Vec2FeatureExtractor',
        feature_size: 1,
      },
      ...{ padding_side: 'right', padding_value: 0, return_attention_mask: false },
      sampling_rate: 16000,
    })
    expect(wave.audio).toEqual({ rateHz: 16000, normalize: true })
    expect([wave.preprocess, wave.image]).toEqual([undefined, undefined])
    const whisper = await readImages({
      ...{ chunk_length: 30, feature_extractor_type: 'WhisperFeatureExtractor', feature_size: 80 },
      ...{ hop_length: 160, n_fft: 400, n_samples: 480000, sampling_rate: 16000 },
    })
    expect(whisper.audio).toEqual({
      ...{ rateHz: 16000, features: 80, fftSize: 400, hopLength: 160, seconds: 30 },
      normalize: false,
    })
  })
})

describe('a folder of a text model', () => {
  it('says labels, tokenizer and limits', async () => {
    const folder = folderOf({
      'config.json': {
        ...{ architectures: ['DistilBertForSequenceClassification'], model_type: 'distilbert' },
        ...{ id2label: { 1: 'POSITIVE', 0: 'NEGATIVE' }, max_position_embeddings: 512 },
        problem_type: 'single_label_classification',
      },
      'tokenizer.json': {},
      'tokenizer_config.json': { do_lower_case: true, model_max_length: 512, pad_token: '[PAD]' },
      'onnx/model.onnx': '',
    })
    expect(await readHubConfig(folder)).toEqual({
      model: join(folder, 'onnx', 'model.onnx'),
      labels: ['NEGATIVE', 'POSITIVE'],
      problem: 'single_label_classification',
      text: {
        options: { tokenizer: { file: join(folder, 'tokenizer.json') } },
        ...{ maximumLength: 512, padToken: '[PAD]', lowercase: true },
      },
      notes: [],
    })
  })

  it('takes tokenizers without a limit, padding tokens as objects, and the side', async () => {
    const { text } = await read({
      'tokenizer.json': {},
      'tokenizer_config.json':
        '{"model_max_length": 1e30, "padding_side": "left", "pad_token": {"content": "<pad>", "lstrip": false}}',
    })
    expect(text).toMatchObject({ options: { paddingSide: 'left' }, padToken: '<pad>' })
    expect(text?.maximumLength).toBeUndefined()
    expect((await read({ 'tokenizer.json': {} })).text?.options.tokenizer.file).toMatch(/json$/)
  })
})

describe('labels', () => {
  it('come in the order of their numbers', async () => {
    const id2label = Object.fromEntries(
      Array.from({ length: 12 }, (_, at) => [11 - at, `n${11 - at}`]),
    )
    const { labels } = await read({ 'config.json': { id2label } })
    expect(labels).toEqual(Array.from({ length: 12 }, (_, at) => `n${at}`))
  })

  it('are none where there are but placeholders', async () => {
    const { labels } = await read({ 'config.json': { id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } } })
    expect(labels).toBeUndefined()
    expect((await read({ 'config.json': {} })).labels).toBeUndefined()
  })

  it.each<[unknown, string]>([
    [{ 0: 'a', 2: 'b' }, '2 names, and none for 1'],
    [{ 1: 'a' }, '1 names, and none for 0'],
    [{ a: 'x' }, "the key 'a'"],
    [{ '01': 'x' }, "the key '01'"],
    [{ 0: { deep: 1 } }, 'no name for 0'],
    ['text', 'string'],
  ])('are refused: %j', async (id2label, what) => {
    const reading = read({ 'config.json': { id2label } })
    await expect(reading).rejects.toThrow(UserError)
    await expect(reading).rejects.toThrow(
      `id2label: expected names for the numbers 0, 1, 2, …: ${what}`,
    )
  })

  it('are not fooled by names of properties', async () => {
    const text = '{"id2label": {"__proto__": "x", "0": "a"}}'
    await expect(read({ 'config.json': text })).rejects.toThrow("the key '__proto__'")
  })
})

describe('hostile files', () => {
  it.each<[string, string, RegExp]>([
    ['config.json', '{', /config\.json: is not JSON: /],
    ['config.json', '[]', /config\.json: the whole: /],
    ['preprocessor_config.json', '{"size": -1}', /preprocessor_config\.json: size: /],
    ['preprocessor_config.json', '{"size": 1e9}', /size: /],
    [
      'preprocessor_config.json',
      '{"rescale_factor": "x"}',
      /rescale_factor: .* — correct the file/,
    ],
    ['preprocessor_config.json', '{"sampling_rate": 0}', /sampling_rate: /],
  ])('%s with %j is a message of one line', async (name, content, message) => {
    const reading = read({ [name]: content })
    await expect(reading).rejects.toThrow(UserError)
    await expect(reading).rejects.toThrow(message)
    await expect(reading).rejects.not.toThrow(/\n/)
  })

  it('are not read beyond 16 MiB', async () => {
    const folder = folderOf({ 'config.json': '{}' })
    truncateSync(join(folder, 'config.json'), 2 ** 34)
    await expect(readHubConfig(folder)).rejects.toThrow(/too long for a configuration/)
  })
})

describe('the ONNX file', () => {
  it.each<[readonly string[], string | undefined]>([
    [['onnx/model.onnx', 'model.onnx', 'onnx/model_quantized.onnx'], 'onnx/model.onnx'],
    [['model.onnx', 'onnx/other.onnx'], 'model.onnx'],
    [['decoder.onnx'], 'decoder.onnx'],
    [['onnx/encoder.onnx', 'config.json'], 'onnx/encoder.onnx'],
    [['model.safetensors'], undefined],
  ])('among %j is %s', async (files, expected) => {
    const folder = folderOf(Object.fromEntries(files.map((file) => [file, ''])))
    expect(await findModel(folder)).toBe(expected && join(folder, expected))
  })

  it('has to be named where there are several', async () => {
    const folder = folderOf({ 'onnx/a.onnx': '', 'b.onnx': '' })
    await expect(findModel(folder)).rejects.toThrow(/several ONNX files, none called model\.onnx: /)
  })
})
