// Repairs: what brings a quantized model closer to the float one without training. Some change the float model before its
// ranges are measured, others the integers after. One table, in the order in which they go.
import { z } from 'zod'
import { UserError } from '../../../base/errors.ts'
import type { Dataset } from '../../../data/dataset.ts'
import type { Model } from '../../../onnx/graph.ts'
import { percent } from '../../shares.ts'
import type { StageContext } from '../../stage.ts'
import type { LayerStatistics } from '../data-free.ts'
import type { Prepared } from '../prepare.ts'
import { absorbBiases } from './absorption.ts'
import { reestimateNormalizations } from './batch-normalization.ts'
import { type BiasCorrectionName, biasCorrections } from './bias-correction.ts'
import { equalize } from './equalization.ts'
import { learnRounding } from './rounding.ts'
import { smooth } from './smoothing.ts'
import { splitOutliers } from './splitting.ts'

/** What error messages call the model. */
const where = 'model'

/** What was done, as half a sentence; undefined where there was nothing to do. */
type Done = Promise<string | undefined>

/** What BatchNormalizations said of the values of a model; repairs that change those change it, too. */
type Statistics = Map<string, LayerStatistics>

/** A repair of the float model: before BatchNormalization is folded, or when the model is ready to be measured. */
interface FloatRepair {
  readonly summary: string
  readonly when: 'first' | 'before'
  apply(
    prepared: Prepared,
    options: RepairOptions,
    context: StageContext,
    statistics: Statistics,
  ): Done
}

/** A repair of the integers, by what the float model gives. */
interface IntegerRepair {
  readonly summary: string
  readonly when: 'after'
  apply(float: Model, quantized: Model, options: RepairOptions, context: StageContext): Done
}

/** The defaults of the options. */
const defaults = {
  repairSamples: 256,
  biasCorrection: 'full',
  smoothing: 0.5,
  splitShare: 0.02,
  roundingSteps: 1000,
} as const

const defineFloat = (repair: FloatRepair): FloatRepair => repair
const defineInteger = (repair: IntegerRepair): IntegerRepair => repair

/** The repairs by name, in the order in which they go. */
export const repairs = {
  'batch-normalization': defineFloat({
    summary: 'takes the statistics of BatchNormalization anew, behind rounded weights',
    when: 'first',
    async apply(prepared, options, context) {
      const count = await reestimateNormalizations(prepared, {
        bits: options.weightBits ?? 8,
        perChannel: options.perChannel ?? true,
        calibration: calibrationFor('batch-normalization', context),
        samples: samplesIn(options),
        context,
      })
      return count > 0 ? `took ${count} BatchNormalization anew` : undefined
    },
  }),
  equalization: defineFloat({
    summary: 'gives the weights before and behind each channel the same range',
    when: 'before',
    async apply({ model }, _options, _context, statistics) {
      const { channels, weights } = await equalize(model, where, statistics)
      return channels > 0 ? `equalized ${channels} channels of ${weights} weights` : undefined
    },
  }),
  'bias-absorption': defineFloat({
    summary:
      'moves what channels hardly ever go below before a Relu into the biases behind it, measured or, without data, by BatchNormalization',
    when: 'before',
    async apply({ model, excluded }, options, context, statistics) {
      const isMeasured = context.data !== undefined && context.data.calibration.size > 0
      const evidence = isMeasured ? { samples: samplesIn(options), context } : undefined
      const { channels, layers } = await absorbBiases(model, excluded, statistics, evidence)
      return channels > 0
        ? `absorbed biases of ${channels} channels of ${layers} layers`
        : undefined
    },
  }),
  smoothquant: defineFloat({
    summary: 'moves differences between the channels of activations into the weights',
    when: 'before',
    async apply({ model, excluded }, options, context) {
      calibrationFor('smoothquant', context)
      const alpha = options.smoothing ?? defaults.smoothing
      const summed = { samples: samplesIn(options), context }
      const { folded, multiplied } = await smooth(model, excluded, alpha, summed, where)
      if (folded + multiplied === 0) return undefined
      const behind = multiplied > 0 ? `, ${multiplied} of them behind a Mul` : ''
      return `smoothed the inputs of ${folded + multiplied} layers${behind}`
    },
  }),
  'split-outliers': defineFloat({
    summary: 'gives channels with outlying weights to a layer twice, with half the weights',
    when: 'before',
    async apply({ model, excluded }, options) {
      const expand = options.splitShare ?? defaults.splitShare
      const highest = 2 ** ((options.weightBits ?? 8) - 1) - 1
      const { channels, layers } = splitOutliers(model.graph, excluded, { expand, highest })
      return layers > 0 ? `split ${channels} channels of ${layers} layers` : undefined
    },
  }),
  adaround: defineInteger({
    summary: 'learns whether each weight is rounded up or down',
    when: 'after',
    async apply(float, quantized, options, context) {
      calibrationFor('adaround', context)
      const samples = samplesIn(options)
      const steps = options.roundingSteps ?? defaults.roundingSteps
      const learned = await learnRounding(float, quantized, { samples, steps, context })
      for (const { name, before, after } of learned)
        context.log(
          `${name}: error of its outputs ${percent(before, 3)} → ${percent(after, 3)} by learned rounding`,
        )
      const better = learned.filter(({ before, after }) => after < before).length
      return better > 0 ? `learned the rounding of ${better} layers` : undefined
    },
  }),
  'bias-correction': defineInteger({
    summary: 'takes what rounding adds to the mean of each channel out of the bias',
    when: 'after',
    async apply(float, quantized, options, context) {
      calibrationFor('bias-correction', context)
      const form = options.biasCorrection ?? defaults.biasCorrection
      const evidence = { samples: samplesIn(options), context }
      const { layers, left } = await biasCorrections[form](float, quantized, evidence)
      if (layers === 0) return undefined
      const rest = left > 0 ? ` (${left} have no bias)` : ''
      return `corrected the biases of ${layers} layers${rest}`
    },
  }),
} as const satisfies Record<string, FloatRepair | IntegerRepair>

/** The name of a repair. */
export type RepairName = keyof typeof repairs

const names = Object.keys(repairs) as [RepairName, ...RepairName[]]

const corrections = Object.keys(biasCorrections) as [BiasCorrectionName, ...BiasCorrectionName[]]

/** Options of repairs, a part of the options of quantization. */
export const repairsShape = {
  repair: z
    .array(z.enum(names))
    .min(1)
    .optional()
    .describe(
      `What is done against the loss of accuracy without training, in this order: ${names.map((name) => `${name} ${repairs[name].summary}`).join('; ')}.`,
    ),
  repairSamples: z
    .int()
    .min(1)
    .optional()
    .describe(`Calibration samples that repairs look at; ${defaults.repairSamples} unless given.`),
  biasCorrection: z
    .enum(corrections)
    .optional()
    .describe(
      'bias-correction: fast, by what the rounding of weights alone adds on average; full, by what layers give, one after the other; full unless given.',
    ),
  smoothing: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe(
      `smoothquant: how much of the differences goes into the weights, 0..1; ${defaults.smoothing} unless given.`,
    ),
  splitShare: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe(
      `split-outliers: input channels that a layer gets more, as a share; ${defaults.splitShare} unless given.`,
    ),
  roundingSteps: z
    .int()
    .min(1)
    .optional()
    .describe(
      `adaround: steps of the optimizer for each layer, fewer where a layer is very large; ${defaults.roundingSteps} unless given.`,
    ),
} as const

/** What repairs read of the options of quantization. */
export interface RepairOptions {
  readonly repair?: readonly RepairName[] | undefined
  readonly repairSamples?: number | undefined
  readonly biasCorrection?: BiasCorrectionName | undefined
  readonly smoothing?: number | undefined
  readonly splitShare?: number | undefined
  readonly roundingSteps?: number | undefined
  readonly weightBits?: number | undefined
  readonly perChannel?: boolean | undefined
}

/** Options that only one repair reads. */
const owners = {
  biasCorrection: 'bias-correction',
  smoothing: 'smoothquant',
  splitShare: 'split-outliers',
  roundingSteps: 'adaround',
} as const satisfies Partial<Record<keyof RepairOptions, RepairName>>

/** Options of repairs that do not go with the others: which, and why. */
export function repairIssues(
  options: RepairOptions & { readonly scheme: string },
): { readonly path: string; readonly message: string }[] {
  const chosen = options.repair ?? []
  const issues = Object.entries(owners).flatMap(([path, name]) =>
    options[path as keyof typeof owners] !== undefined && !chosen.includes(name)
      ? [{ path, message: `goes with repair '${name}'` }]
      : [],
  )
  if (options.repairSamples !== undefined && chosen.length === 0)
    issues.push({ path: 'repairSamples', message: "goes with 'repair'" })
  for (const name of options.scheme === 'static' ? [] : chosen)
    if (repairs[name].when === 'after')
      issues.push({
        path: 'repair',
        message: `'${name}' goes with scheme 'static', not with '${options.scheme}'`,
      })
  return issues
}

/** Repairs a model that was just copied, in place: what has to come before BatchNormalization is folded. */
export const repairFirst = (
  prepared: Prepared,
  options: RepairOptions,
  context: StageContext,
): Promise<readonly string[]> =>
  applyChosen(options, context, (repair) =>
    repair.when === 'first' ? repair.apply(prepared, options, context, new Map()) : undefined,
  )

/** Repairs a model that is prepared for integers, in place, and what is known of its values, before its ranges are measured. */
export const repairBefore = (
  prepared: Prepared,
  options: RepairOptions,
  context: StageContext,
  statistics: Statistics,
): Promise<readonly string[]> =>
  applyChosen(options, context, (repair) =>
    repair.when === 'before' ? repair.apply(prepared, options, context, statistics) : undefined,
  )

/** Repairs a quantized model (in its QDQ form), in place; `float` is what it was made from. */
export const repairAfter = (
  float: Model,
  quantized: Model,
  options: RepairOptions,
  context: StageContext,
): Promise<readonly string[]> =>
  applyChosen(options, context, (repair) =>
    repair.when === 'after' ? repair.apply(float, quantized, options, context) : undefined,
  )

/** Applies the repairs that are asked for, one after the other, where it is their time; what they did. */
async function applyChosen(
  options: RepairOptions,
  { log }: StageContext,
  apply: (repair: FloatRepair | IntegerRepair) => Done | undefined,
): Promise<readonly string[]> {
  const done: string[] = []
  for (const name of chosenIn(options)) {
    const applied = apply(repairs[name])
    if (!applied) continue
    const summary = await applied
    if (summary === undefined) log(`repair: ${name} found nothing to do`)
    else done.push(summary)
  }
  return done
}

/** Whether the options ask for a repair of the integers, which needs the float model besides. */
export const repairsIntegers = (options: RepairOptions): boolean =>
  chosenIn(options).some((name) => repairs[name].when === 'after')

/** The repairs that are asked for, in the order of the table. */
const chosenIn = ({ repair = [] }: RepairOptions): readonly RepairName[] =>
  names.filter((name) => repair.includes(name))

const samplesIn = ({ repairSamples = defaults.repairSamples }: RepairOptions): number =>
  repairSamples

function calibrationFor(name: RepairName, { data }: StageContext): Dataset {
  if (!data || data.calibration.size === 0)
    throw new UserError(
      `repair: '${name}' needs calibration samples: there are none — name the data, or leave it out`,
    )
  return data.calibration
}
