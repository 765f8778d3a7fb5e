// The groups of every real model: so many, so many of them that can be cut, and why the others cannot.
import { tensorOf } from '../../onnx/tensor.ts'
import type { Expectation } from './cut-models.ts'

const keeps = (output: string) => `output '${output}' of the model keeps its shape`
const single = 'it is a single channel'

/** A condition of silero-vad, by its sample rate, decides which of two nets runs. */
const rate = (sr: number) => ({ sr: tensorOf('int64', [], [sr]) })

const sileroIfless = (sequence: number, sr: number): Expectation => ({
  groups: [13, 10],
  reasons: { [keeps('stateN')]: 1, [single]: 2 },
  options: { dims: { sequence }, feeds: rate(sr) },
})

/** The conditions of its decoder give values of other shapes in either branch. */
const sileroReasons = (branch: 'then' | 'else') => ({
  [`If 'If_0_${branch}_branch__Inline_0__/decoder/If' mixes the channels`]: 1,
  [`If 'If_0_${branch}_branch__Inline_0__/decoder/rnn/If_1' mixes the channels`]: 1,
})

/** Models that are cut in a second or so. */
export const quickModels: Readonly<Record<string, Expectation>> = {
  'mnist-8-ortweb': { groups: [3, 2], reasons: { [keeps('Plus214_Output_0')]: 1 } },
  'mnist-burn-a': { groups: [5, 4], reasons: { "LogSoftmax '/LogSoftmax' mixes the channels": 1 } },
  'keras-tract-example': { groups: [2, 1], reasons: { [single]: 1 } },
  'vit-ibp-3-3-8-cifar10': { groups: [8, 7], byWidth: [11, 10], reasons: { [keeps('output')]: 1 } },
  'optimum-test-asset': {
    groups: [7, 6],
    reasons: { [keeps('logits')]: 1 },
    options: { dims: { sequence: 7 } },
  },
  'byte-sb-bidi-lstm': {
    groups: [4, 3],
    reasons: { [keeps('output')]: 1 },
    options: { dims: { length: 6 } },
  },
  'conv-tiny-resnet8-cifar10': {
    groups: [7, 6],
    reasons: { "Softmax 'dense_softmax' mixes the channels": 1 },
  },
}

/** The others; of mnist-onnxmodels-2017, whose opset ONNX Runtime cannot run, there is none. */
export const slowModels: readonly (readonly [string, Expectation])[] = [
  [
    'conv-distiller-resnet20-dense-cifar10',
    { groups: [13, 12], reasons: { [keeps('logits')]: 1 } },
  ],
  [
    'conv-tiny-vww96-mobilenet025',
    { groups: [15, 14], reasons: { "Softmax 'dense_softmax' mixes the channels": 1 } },
  ],
  ['basic-pitch', { groups: [8, 3], reasons: { [single]: 5 } }],
  [
    'magika-v3_3',
    {
      groups: [3, 2],
      reasons: { "ReduceMax 'jax2tf_get_logits_/pjit_get_logits_/Max' mixes the channels": 1 },
    },
  ],
  [
    'vittrack',
    { groups: [28, 25], reasons: { [keeps('output2')]: 1, [keeps('output3')]: 1, [single]: 1 } },
  ],
  ['super-resolution-10', { groups: [4, 3], reasons: { [keeps('output')]: 1 } }],
  [
    'ultraface-rfb-320',
    {
      groups: [27, 25],
      reasons: { [keeps('boxes')]: 1, "Softmax 'scores' mixes the channels": 1 },
    },
  ],
  ['yolox-nano', { groups: [70, 67], reasons: { [keeps('output')]: 2, [single]: 1 } }],
  [
    'ppocr-det-ch-v3',
    { groups: [38, 37], reasons: { [single]: 1 }, options: { dims: { 'x:2': 64, 'x:3': 64 } } },
  ],
  ['silero-vad-op18-ifless', sileroIfless(512, 16000)],
  ['silero-vad-op18-ifless', sileroIfless(256, 8000)],
  [
    'silero-vad',
    {
      groups: [7, 4],
      reasons: { ...sileroReasons('then'), [single]: 1 },
      options: { dims: { 'input:1': 512, 'state:1': 1 }, feeds: rate(16000) },
    },
  ],
  [
    'silero-vad',
    {
      groups: [14, 8],
      reasons: { ...sileroReasons('then'), ...sileroReasons('else'), [single]: 2 },
      options: { dims: { 'input:1': 256, 'state:1': 1 }, feeds: rate(8000) },
    },
  ],
  // Its weights are quantized: nothing makes channels that the rules know.
  ['shufflenet-v2-12-int8', { groups: [0, 0], reasons: {} }],
  [
    'light-resnet50',
    { groups: [38, 37], reasons: { "Softmax 'n175' mixes the channels": 1 }, fill: true },
  ],
  ['light-densenet121', { groups: [121, 120], reasons: { [keeps('fc6_1')]: 1 }, fill: true }],
  [
    'light-shufflenet',
    {
      groups: [18, 13],
      reasons: { [single]: 4, "Softmax 'n202' mixes the channels": 1 },
      fill: true,
    },
  ],
]
