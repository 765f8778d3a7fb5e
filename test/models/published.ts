// What is published of architectures, and what must hold of every example.
import { expect } from '@jest/globals'
import type { Random } from '../../base/random.ts'
import type { Architecture } from '../../models/architecture.ts'
import {
  type ArchitectureInput,
  architectureOptions,
  architectures,
  buildArchitecture,
} from '../../models/index.ts'
import { type ModelShape, oneInput } from '../../models/layers.ts'
import type { Model } from '../../onnx/graph.ts'
import { countMacs } from '../../onnx/multiplications.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { elements } from '../../onnx/tensor.ts'
import { fixDims, inferShapes } from '../../runtime/shapes.ts'
import { onnx } from '../../train/engines/onnx.ts'
import { optimizerOptions } from '../../train/options.ts'
import { Stepper } from '../../train/stepper.ts'
import { content, type examples, text } from './examples.ts'

/** Weights of which only the number matters. */
const constant: Random = {
  uniform: () => 0.5,
  normal: () => 0.1,
  integer: () => 0,
  permutation: (count) => new Uint32Array(count),
}

/** A model to count: its weights are all the same. */
export function countable(options: ArchitectureInput, shape: ModelShape): Model {
  const whole = architectureOptions.parse(options)
  const architecture: Architecture = architectures[whole.architecture]
  return architecture.build(whole, shape, constant)
}

const bertInputs = [
  ...text(512, 30522),
  { name: 'token_type_ids', dtype: 'int64', shape: [512] } as const,
]
export const colour = oneInput([3, 32, 32], 10)
const photo = oneInput([3, 224, 224], 1000)
export const digit = oneInput([1, 28, 28], 10)

type Published = readonly [ArchitectureInput, ModelShape, parameters: number, macs: number]

const rows: readonly Published[] = [
  [{ architecture: 'mlp' }, digit, 784 * 256 + 256 * 128 + 1280 + 394, 234_752],
  [{ architecture: 'mlp', hidden: [] }, oneInput([12], 10), 12 * 10 + 10, 120],
  // LeCun et al. 1998, section III.C.4: 266,610.
  [{ architecture: 'lenet-300-100' }, digit, 266_610, 266_200],
  [{ architecture: 'lenet' }, digit, 69_362, 654_696],
  // By hand: C1 28²·25·6, C3 10²·25·6·16, then the matrices; everybody's LeNet-5 has 61,706 weights.
  [{ architecture: 'lenet-5' }, digit, 61_706, 117_600 + 240_000 + 48_000 + 10_080 + 840],
  [{ architecture: 'lenet-5' }, oneInput([1, 32, 32], 10), 61_706, 416_520],
  // He et al. 2016: 0.27 M.
  [{ architecture: 'resnet', depth: 20 }, colour, 272_474, 40_813_184],
  [{ architecture: 'resnet' }, colour, 78_042, 12_501_632],
  // Zagoruyko and Komodakis 2016: 36.5 M, and exactly so many in the authors' code.
  [{ architecture: 'wide-resnet', depth: 28, widen: 10 }, colour, 36_479_194, 5_243_328_768],
  // 0.7 M in the literature on distillation.
  [{ architecture: 'wide-resnet' }, colour, 691_674, 101_106_944],
  // 14.7 M and 313 M for VGG-16 on CIFAR in the literature on pruning.
  [{ architecture: 'vgg', depth: 16 }, colour, 14_724_042, 313_201_664],
  [{ architecture: 'vgg' }, colour, 3_917_386, 67_834_880],
  [{ architecture: 'mobilenet' }, colour, 136_778, 16_525_824],
  // Howard et al. 2017, table 4: 4.2 M and 569 M.
  [{ architecture: 'mobilenet-v1' }, photo, 4_231_976, 568_740_352],
  [{ architecture: 'mobilenet-v1' }, colour, 3_217_226, 175_556_608],
  // Sandler et al. 2018, table 4: 3.4 M and 300 M; torchvision: 3,504,872.
  [{ architecture: 'mobilenet-v2' }, photo, 3_504_872, 300_774_272],
  [{ architecture: 'mobilenet-v2' }, colour, 2_236_682, 87_976_448],
  // Howard et al. 2019, table 3: 2.5 M and 56 M; torchvision: 2,542,856.
  [{ architecture: 'mobilenet-v3-small' }, photo, 2_542_856, 56_510_400],
  [{ architecture: 'mobilenet-v3-small' }, colour, 1_528_106, 17_507_328],
  // MLPerf Tiny: 24,908 with 9·64 biases and 9·128 running statistics; Zhang et al. 2017: 2.7 M.
  [
    { architecture: 'ds-cnn' },
    oneInput([1, 49, 10], 12),
    24_908 - 576 - 1_152,
    125 * 64 * 40 + 4 * 125 * 64 * (9 + 64) + 768,
  ],
  [{ architecture: 'conv1d' }, oneInput([6, 128], 6), 36_806, 418_560],
  // Dai et al. 2017, table 1: M5 has 0.5 M.
  [
    { architecture: 'conv1d', width: 128, kernel: 80, stride: 4 },
    oneInput([32_000], 10),
    10_240 + 49_152 + 98_304 + 393_216 + 2 * (128 + 128 + 256 + 512) + 5_130,
    278_533_120,
  ],
  // Each direction: four gates of 64 units over 64 inputs and 64 states, and two biases.
  [
    { architecture: 'bilstm-tagger' },
    { inputs: text(32, 5000, false), outputs: 9, positions: 32 },
    5000 * 64 + 2 * 4 * 64 * (64 + 64 + 2) + 128 * 9 + 9,
    32 * (2 * 4 * 64 * (64 + 64) + 128 * 9),
  ],
  // Turc et al. 2019: the published BERT-Tiny has 4,385,920; the classifier has 258 more.
  [{ architecture: 'bert' }, { inputs: bertInputs, outputs: 2 }, 4_385_920 + 258, 335_560_960],
  [{ architecture: 'bert' }, { inputs: text(128, 30522), outputs: 2 }, 4_336_770, 58_736_896],
  // Touvron et al. 2021: 5 M and 1.3 G; in the authors' code 5,717,416 with a class token of 192 by itself.
  [{ architecture: 'vit', patch: 16 }, photo, 5_717_416 - 192, 1_253_683_200],
  [{ architecture: 'vit' }, colour, 5_362_570, 365_107_584],
  // MLPerf Tiny: 269,992 with 2,064 running statistics and 16 weights of a norm around the bottleneck.
  [{ architecture: 'autoencoder' }, oneInput([640], 640), 269_992 - 2_064 - 16, 264_192],
  [{ architecture: 'autoencoder' }, digit, 36_297, 533_120],
  [
    { architecture: 'two-tower' },
    {
      inputs: [
        { name: 'user', dtype: 'int64', shape: [], ids: 1000 },
        { name: 'item', dtype: 'int64', shape: [], ids: 500 },
      ],
      outputs: 1,
    },
    1500 * 32 + 2 * (32 * 64 + 64 + 64 * 32 + 32),
    2 * (32 * 64 + 64 * 32),
  ],
]

/** Of which a smaller one is among the quick tests. */
const isLarge = ([, shape, parameters, macs]: Published): boolean =>
  shape === photo || parameters > 6e6 || macs > 2e8

/** Parameters and multiplications of models by whether counting them takes a while. */
export const published = {
  quick: rows.filter((row) => !isLarge(row)),
  slow: rows.filter(isLarge),
}

/** Expects a model to have so many parameters and multiplications for a sample. */
export async function expectCounts([options, shape, parameters, macs]: Published): Promise<void> {
  const model = countable(options, shape)
  expect(countParameters(model).parameters).toBe(parameters)
  fixDims(model, { batch: 1 })
  await inferShapes(model)
  expect(countMacs(model)).toBe(macs)
}

/** The examples of many layers, whose training graphs take longest to make. */
export const isDeep = ([what]: Example): boolean => /^(mobilenet|wide-resnet|vgg)/.test(what)

type Example = (typeof examples)[number]

/** Expects a few steps to make the loss of an example smaller. */
export async function expectLearning([, options, shape, output = [shape.outputs]]: Example) {
  const batch = 4
  const stepper = await Stepper.open({
    steps: 10,
    definition: {
      model: buildArchitecture(options, { ...shape, seed: 1 }),
      forward: {
        ...{ batch, freeze: [], batchStatistics: true, dropout: false },
        losses: [{ loss: 'match', weight: 1 }],
      },
      update: { optimizer: optimizerOptions.parse({ name: 'adamw', rate: 3e-3 }) },
    },
    engine: onnx,
    options: { provider: 'cpu', threads: 1, sharesCores: false, log: () => undefined },
    seed: 9,
    rate: () => 3e-3,
    mostSteps: 1,
  })
  try {
    const wanted = { name: 'wanted', dtype: 'float32', shape: output } as const
    const inputs = shape.inputs.map((input) => content(input, 0, batch).bytes)
    const targets = [elements(content(wanted, 0, batch), 'float32')]
    const indices = Uint32Array.from({ length: batch }, (_, index) => index)
    const losses: number[] = []
    for (let step = 0; step < 12; step++)
      losses.push(...(await stepper.take(step, { inputs, size: batch, indices }, targets)))
    expect(losses.at(-1)).toBeLessThan(0.95 * losses[0]!)
  } finally {
    await stepper.dispose()
  }
}
