// What people get wrong in recipes with tasks, inputs and data of their own: each is one line that says what to do.
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { buildArchitecture, oneInput, type RecipeInput, serializeModel } from '../../index.ts'
import { csvOf, folderOf, jsonlOf, refusal, tableOf } from './whole.ts'

type Change = Partial<Omit<RecipeInput, 'name'>>

const recipe = (change: Change): Omit<RecipeInput, 'name'> => ({
  data: { format: 'csv', path: tableOf() },
  teacher: { model: { architecture: 'mlp', hidden: [4] }, train: { epochs: 1 } },
  ...change,
})

const csv = (more: Partial<RecipeInput['data']>): RecipeInput['data'] => ({
  format: 'csv',
  path: tableOf(),
  ...more,
})

let models: string
let modules: string
beforeAll(() => {
  const mlp = (width: number) =>
    serializeModel(
      buildArchitecture({ architecture: 'mlp', hidden: [4] }, { ...oneInput([2], width), seed: 1 }),
    )
  models = folderOf({ 'two.onnx': mlp(2), 'three.onnx': mlp(3) })
  modules = folderOf({
    'throws.mjs':
      "export function* train() { yield { x: [1], label: 'a' }; throw new Error('no\\nmore') }",
    'syntax.mjs': 'export const train = [',
    'empty.mjs': 'export const train = []',
    'nothing.mjs': 'export const other = 1',
  })
})

describe('a mistake in a recipe', () => {
  it.each([
    [
      'an input of a column that is not there',
      () => ({ inputs: { input: { column: 'featurs' } } }),
      /inputs\.input: the data has no column 'featurs' — did you mean 'features'\?/,
    ],
    [
      'an input that no model has',
      () => ({
        teacher: { model: { file: join(models, 'two.onnx') } },
        inputs: { inptu: { column: 'features' } },
      }),
      /inputs\.inptu: .*did you mean 'input'/,
    ],
    [
      'state out of an output that is not there',
      () => ({
        teacher: { model: { file: join(models, 'two.onnx') } },
        inputs: { input: { carry: 'logit' } },
      }),
      /two\.onnx: inputs: there is no output 'logit' to carry: it has logits — name one/,
    ],
    [
      'pieces that do not come out even',
      () => ({ inputs: { input: { column: 'features', chunk: 3 } } }),
      /inputs\.input\.chunk: 2 values cannot be cut into pieces of 3 — choose a divisor of 2/,
    ],
    [
      'a regression on texts',
      () => ({ task: 'regression', data: csv({ target: 'label' }) }),
      /table\.csv.*: column 'label': not a number: '(low|high)' — /,
    ],
    [
      'a class that has no column',
      () => ({ task: 'multi-label', data: csv({ target: ['a', 'is_red'] }) }),
      /data\.target: the data has no column 'is_red' — /,
    ],
    [
      'classes that are no zeros and ones',
      () => ({
        task: 'multi-label',
        data: csv({
          target: ['a', 'b'],
          features: {
            label: { kind: 'category', column: 'label' },
          },
        }),
      }),
      /column '[ab]': neither 0 nor 1: .* — a column for each class holds 0 or 1/,
    ],
    [
      'a student of another width',
      () => ({ stages: [{ stage: 'distill', student: { file: join(models, 'three.onnx') } }] }),
      /three\.onnx: its outputs do not fit the labels: 3 outputs for the 2 classes/,
    ],
    [
      'a student that cannot match',
      () => ({
        task: 'match',
        data: csv({ features: { features: { kind: 'table', columns: ['a', 'b'] } } }),
        teacher: { model: { file: join(models, 'two.onnx') } },
        stages: [{ stage: 'distill', student: { file: join(models, 'three.onnx') } }],
      }),
      /three\.onnx: its outputs are not of the size of the teacher's: 3 numbers a sample, not 2 — /,
    ],
    [
      'a data set that nobody knows',
      () => ({ data: { source: 'fsd' } }),
      /data\.source: unknown value: 'fsd' — did you mean 'fsdd'\?/,
    ],
    [
      'a task that nobody knows',
      () => ({ task: 'regresion' as 'regression' }),
      /task: unknown value: 'regresion' — did you mean 'regression'\?/,
    ],
    [
      'a feature of an unknown kind',
      () => ({ data: csv({ features: { x: { kind: 'tabel' as 'table' } } }) }),
      /data\.features\.x\.kind: unknown kind: 'tabel' — did you mean 'table'\?/,
    ],
    [
      'options of another format',
      () => ({ data: csv({ jsonl: { columns: ['a'] } } as object) }),
      /data\.jsonl: goes with format 'jsonl' alone — /,
    ],
    [
      'a module that fails',
      () => ({ data: { source: join(modules, 'throws.mjs') } }),
      /throws\.mjs: 'train' failed: no — correct the module/,
    ],
    [
      'a module that is no module',
      () => ({ data: { source: join(modules, 'syntax.mjs') } }),
      /syntax\.mjs: the module cannot be loaded: .* — correct it there/,
    ],
    [
      'a module without samples',
      () => ({ data: { source: join(modules, 'empty.mjs') } }),
      /empty\.mjs: 'train' gives no samples — check the module/,
    ],
    [
      'a module without training data',
      () => ({ data: { source: join(modules, 'nothing.mjs') } }),
      /nothing\.mjs: exports no 'train' — /,
    ],
    [
      'a module that is not there',
      () => ({ data: { source: join(modules, 'none.mjs') } }),
      /none\.mjs: .* — /,
    ],
    [
      'augmentation of several inputs',
      () => ({
        data: csv({
          features: {
            one: { kind: 'number', column: 'a' },
            two: { kind: 'number', column: 'b' },
          },
        }),
        teacher: {
          model: { architecture: 'mlp', hidden: [4] },
          train: { epochs: 1, augment: { mixup: 0.2 } },
        },
      }),
      /augment: samples of several inputs \(one, two\) cannot be mixed — leave mixup and cutmix out/,
    ],
    [
      'weights of classes where there are none',
      () => ({
        task: 'regression',
        data: csv({ target: 'b', features: { a: { kind: 'number', column: 'a' } } }),
        teacher: {
          model: { architecture: 'mlp', hidden: [4] },
          train: { epochs: 1, classWeights: 'balanced' },
        },
      }),
      /classWeights: is for samples or words of one class each.* — leave it out/,
    ],
    [
      'pictures for a model of texts',
      () => ({ teacher: { model: { architecture: 'bert' }, train: { epochs: 1 } } }),
      /architecture 'bert': takes ids \[length\].* — use a text feature/,
    ],
    [
      'tags of a text that is one text',
      () => ({
        task: 'tagging',
        data: {
          format: 'jsonl',
          path: folderOf({ 'train.jsonl': jsonlOf([{ words: 'a b', tags: 'x y' }]) }),
        },
        teacher: { model: { architecture: 'bilstm-tagger' }, train: { epochs: 1 } },
      }),
      /train\.jsonl: .* — /,
    ],
    [
      'a similarity without pairs',
      () => ({
        task: 'similarity',
        data: csv({ target: 'b' }),
        teacher: { model: { architecture: 'mlp', hidden: [4] }, train: { epochs: 1, batch: 8 } },
      }),
      /similarity needs pairs of samples: .* in groups of 1 — .*data\.pairs/,
    ],
    [
      'a ranking without groups',
      () => ({
        task: 'ranking',
        data: {
          format: 'csv',
          path: folderOf({
            'train.csv': csvOf(
              ['a', 'relevance'],
              [
                [1, 0],
                [2, 1],
                [3, 0],
                [4, 1],
                [5, 0],
              ],
            ),
          }),
        },
      }),
      /ranking needs groups of two candidates or more.* — /,
    ],
  ] as [string, () => Change, RegExp][])('%s is refused', async (_, change, message) => {
    expect(await refusal(recipe(change()))).toMatch(message)
  })
})
