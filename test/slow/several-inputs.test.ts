// Real models with several inputs: columns, constants and carried state.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { bench, runStage } from '../../index.ts'
import { carried, speech } from '../pipeline/speech.ts'
import { temporaryFolder } from '../pipeline/tiny.ts'
import { folderOf, jsonlOf, quickly, wholeRun } from '../pipeline/whole.ts'
import { itWithShared, sharedModel } from '../support/shared.ts'

const cacheFolder = temporaryFolder()
describe('a model that carries state (silero-vad)', () => {
  itWithShared.each(['silero-vad-op18-ifless.onnx'])(
    'is quantized and measured chunk by chunk: %s',
    async (name) => {
      const { report } = await wholeRun({
        task: 'match',
        data: speech(),
        inputs: carried,
        teacher: { model: { file: sharedModel(name) } },
        stages: [
          { stage: 'quantize', scheme: 'dynamic' },
          { stage: 'export', from: 'teacher', metadata: { made: 'here' } },
        ],
      })
      const [quantized, exported] = report.variants
      expect(report.teacher.accuracy?.value).toBe(1)
      expect(exported?.accuracy?.value).toBe(1)
      expect(exported?.retention?.agreement).toBe(1)
      // Without a voice all answers are near 0.
      expect(quantized?.accuracy?.metrics?.mae).toBeLessThan(1e-3)
      expect(quantized?.sizeBytes).toBeLessThan(0.7 * report.teacher.sizeBytes)
    },
  )

  itWithShared('is the same as itself in a benchmark', async () => {
    const file = sharedModel('silero-vad.onnx')
    const report = await bench({
      ...{ task: 'match', data: speech(), inputs: carried, teacher: file, models: [file] },
      ...{ cacheFolder, latency: quickly.latency },
    })
    expect(report.variants[0]?.accuracy?.value).toBe(1)
  })
})

describe('a text model (DistilBERT) in a folder of the Hub', () => {
  const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'good', 'bad', 'film', 'very', 'not']
  const tokenizer = JSON.stringify({
    version: '1.0',
    added_tokens: vocabulary.slice(0, 4).map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false },
      ...{ normalized: false, special: true },
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
      ],
      pair: [],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: null,
    model: {
      type: 'WordPiece',
      ...{ unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    },
  })
  const rows = Array.from({ length: 60 }, (_, index) => {
    const { integer } = random(6, 'texts', index)
    const text = Array.from({ length: 5 }, () => vocabulary[4 + integer(5)]).join(' ')
    return { text, label: integer(2) === 0 ? 'negative' : 'positive' }
  })
  const names: Readonly<Record<string, string>> = { negative: 'NEGATIVE', positive: 'POSITIVE' }

  itWithShared('takes ids and mask, and labels in the order of config.json', async () => {
    const model = readFileSync(sharedModel('optimum-test-asset.onnx'))
    // The other way round than the data, whose classes are in the order of the alphabet.
    const hub = folderOf({
      'onnx/model.onnx': model,
      'tokenizer.json': tokenizer,
      'config.json': JSON.stringify({ id2label: { 0: 'POSITIVE', 1: 'NEGATIVE' } }),
    })
    const plain = folderOf({ 'model.onnx': model, 'tokenizer.json': tokenizer })
    const stages = [{ stage: 'quantize', scheme: 'dynamic' }] as const
    const data = (rows: readonly object[]) => ({
      format: 'jsonl' as const,
      path: folderOf({ 'train.jsonl': jsonlOf(rows) }),
      features: {
        text: {
          ...{ kind: 'text' as const, column: 'text', length: 12 },
          tokenizer: 'model' as const,
        },
      },
      test: { share: 0.5 },
    })
    const matched = await wholeRun({
      data: data(rows),
      teacher: { model: { file: hub } },
      stages: [...stages],
    })
    expect(matched.logs.join()).toMatch(/labels are matched with the model's by name/)
    const renamed = await wholeRun({
      // Names that sort as the model has them.
      data: data(
        rows.map(({ text, label }) => ({ text, label: label === 'positive' ? '0' : '1' })),
      ),
      teacher: { model: { file: join(plain, 'model.onnx') } },
      stages: [...stages],
    })
    const topOf = ({ report }: typeof matched) =>
      [report.teacher, ...report.variants].map(({ accuracy }) => accuracy?.top1)
    expect(topOf(matched)).toEqual(topOf(renamed))
    expect(Object.keys(matched.report.teacher.accuracy?.perClass ?? {})).toEqual([
      names.positive,
      names.negative,
    ])
  })
})

describe('a model of bytes (magika)', () => {
  itWithShared('takes texts as bytes', async () => {
    const { report } = await wholeRun({
      task: 'match',
      data: {
        format: 'jsonl',
        path: folderOf({
          'train.jsonl': jsonlOf(
            Array.from({ length: 12 }, (_, index) => ({
              code: `let x${index} = ${index}\n`.repeat(9),
            })),
          ),
        }),
        features: {
          bytes: { kind: 'text', column: 'code', tokenizer: { kind: 'byte' }, length: 2048 },
        },
      },
      teacher: { model: { file: sharedModel('magika-v3_3.onnx') } },
      stages: [{ stage: 'quantize', scheme: 'dynamic' }],
    })
    expect(report.variants[0]?.accuracy?.value).toBeGreaterThan(0.9)
  })

  itWithShared('takes lists of numbers', async () => {
    const folder = temporaryFolder()
    const list = (seed: number) =>
      Array.from({ length: 2048 }, (_, at) => (at < 600 ? 32 + ((at * seed) % 90) : 256))
    const output = join(folder, 'small.onnx')
    await runStage({
      options: { stage: 'quantize', scheme: 'dynamic' },
      model: { file: sharedModel('magika-v3_3.onnx') },
      task: 'match',
      data: {
        format: 'jsonl',
        path: folderOf({
          'train.jsonl': jsonlOf(Array.from({ length: 9 }, (_, n) => ({ bytes: list(n + 1) }))),
        }),
        features: { bytes: { kind: 'tensor', column: 'bytes', dtype: 'int32' } },
      },
      ...{ output, cacheFolder },
    })
  })
})
