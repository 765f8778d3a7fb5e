// Quantization: fewer bits a number, and a check that the result still does what its input did.
import { join } from 'node:path'
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { largestFloat16 } from '../../base/float16.ts'
import { firstSamples, type Samples } from '../../base/samples.ts'
import { describeHost } from '../../benchmarks/host.ts'
import type { Model, Node, Value, ValueType } from '../../onnx/graph.ts'
import { inferTypes } from '../../runtime/shapes.ts'
import { simplify } from '../optimize.ts'
import { defineStage, type StageContext } from '../stage.ts'
import { compareModels, describeComparison } from '../verify.ts'
import type { Range } from './arithmetic.ts'
import { measureRanges, requireFinite } from './calibrate.ts'
import type { WeightOptions } from './constants.ts'
import { quantizeDynamically } from './dynamic.ts'
import { convertToFloat16 } from './float16.ts'
import { countKernels, type Kernels } from './kernels.ts'
import { type QuantizeOptions, quantizeOptions } from './options.ts'
import { place } from './placement.ts'
import { compact, copyForQuantization, type Prepared, prepareForIntegers } from './prepare.ts'
import { quantizeGraph, valuesToMeasure } from './static.ts'

/** What error messages call the model. */
const where = 'model'

/** Stores a model in 8 bits or in float16. */
export const quantize = defineStage({
  summary: 'Store weights and activations in 8 bits or float16',
  options: quantizeOptions,
  // The other schemes check their result on it, and float16 looks for values that it cannot hold.
  dataUse: ({ scheme }) => (scheme === 'static' ? 'always' : 'where given'),
  // Calibration runs forward over a part of the training data.
  passes: ({ scheme }) => (scheme === 'static' ? 0.05 : 0),
  async run(input, options, context) {
    const prepared = copyForQuantization(input.model, options.exclude)
    const done = await schemes[options.scheme](prepared, options, context)
    const { model } = prepared
    compact(model)
    const { threads, seed, data } = context
    const settings = { threads, seed, where }
    const comparison = await compareModels(input.model, model, data?.calibration, settings)
    context.progress({ done: 1 })
    const { losses } = input.facts
    return {
      model,
      facts: {
        ...(losses && { losses }),
        summary: [await done(model), describeComparison(comparison)].join('; '),
      },
    }
  },
})

/** Rewrites the prepared model in place; gives what says, of the finished model, what was done. */
type Scheme = (
  prepared: Prepared,
  options: QuantizeOptions,
  context: StageContext,
) => Promise<(model: Model) => string | Promise<string>>

const schemes: Readonly<Record<QuantizeOptions['scheme'], Scheme>> = {
  async static(prepared, options, context) {
    const { model, excluded } = prepared
    await prepareForIntegers(prepared, where)
    const placement = place(model.graph, excluded)
    if (placement.nodes.size === 0) throw nothingToQuantize(noLayers)
    const { method, samples: count, share } = { ...defaultCalibration, ...options.calibration }
    const samples = calibrationSamples(context, count)
    const ranges = await measureRanges(model, valuesToMeasure(placement), samples, {
      ...calibrationIn(context),
      method,
      share: share ?? defaultCalibration.share,
    })
    requireFinite(ranges, where)
    quantizeGraph(model.graph, placement, (value) => rangeIn(ranges, value), {
      activations: options.activations ?? 'uint8',
      ...(await weightOptions(options, context)),
    })
    return async (quantized) => {
      const kernels = await countKernels(quantized, join(context.folder, 'optimized.onnx'))
      return `static, ${method} over ${samples.size} samples: ${describeKernels(kernels)}`
    }
  },

  async dynamic(prepared, options, context) {
    const { excluded } = prepared
    await prepareForIntegers(prepared, where)
    const { graph } = prepared.model
    const layers = quantizeDynamically(graph, excluded, await weightOptions(options, context))
    if (layers === 0) throw nothingToQuantize(noLayers)
    return () => `dynamic: ${layers} layers in 8 bits`
  },

  async float16({ model, excluded }, _options, context) {
    // A BatchNormalization that is folded cannot have a variance beyond float16.
    await simplify(model, where)
    const types = await inferTypes(model, { where })
    const beyond = await nodesBeyondFloat16(model, types, context)
    if (beyond.size > 0)
      context.log(
        `${beyond.size} nodes stay float32, because values beyond float16's ±65504 go through them`,
      )
    const kept = new Set([...excluded, ...beyond])
    const { half, single, clamped } = convertToFloat16(model.graph, types, kept)
    if (half === 0) throw nothingToQuantize('no node with float32 inputs or outputs can be float16')
    for (const [name, count] of clamped)
      context.log(`'${name}' has ${count} numbers beyond float16's ±65504, which were clamped`)
    return () => `float16: ${half} of ${half + single} operators`
  },
}

/** Samples on which activations are compared with what float16 can hold. */
const rangeSamples = 64

/** The nodes that make or read values which float16 cannot hold; without data none is known. */
async function nodesBeyondFloat16(
  model: Model,
  types: ReadonlyMap<Value, ValueType>,
  context: StageContext,
): Promise<ReadonlySet<Node>> {
  if (!context.data) return new Set()
  const values = model.graph.nodes.flatMap((node) =>
    node.outputs.filter((output) => output && types.get(output)?.dtype === 'float32'),
  ) as Value[]
  const ranges = await measureRanges(model, values, calibrationSamples(context, rangeSamples), {
    ...calibrationIn(context),
    method: 'minmax',
    share: 1,
  })
  const nodes = new Set<Node>()
  for (const [value, { min, max }] of ranges) {
    // Written so that NaN, too, counts as beyond.
    if (min >= -largestFloat16 && max <= largestFloat16) continue
    for (const node of [value.producer, ...value.users]) if (node) nodes.add(node)
  }
  return nodes
}

const calibrationIn = (context: StageContext) => ({
  where,
  threads: context.threads,
  check: () => throwIfAborted(context.signal),
  progress: (done: number) => context.progress({ done: 0.9 * done }),
})

const defaultCalibration = { method: 'minmax', samples: 512, share: 0.99999 } as const

function calibrationSamples({ data }: StageContext, count: number): Samples {
  if (!data || data.calibration.size === 0)
    throw new UserError(
      "scheme: 'static' needs calibration data: there is none — name the data, or use scheme 'dynamic'",
    )
  // Every prefix of the calibration split holds the classes in their proportions.
  return firstSamples(data.calibration, count)
}

/** Sums of two 8-bit products overflow 16 bits on x86 processors before VNNI; 7-bit weights cannot reach that far. */
async function weightOptions(
  { weightBits, perChannel = true }: QuantizeOptions,
  context: StageContext,
): Promise<WeightOptions> {
  if (weightBits !== undefined) return { weightBits, perChannel }
  const { flags } = await describeHost()
  const overflows = flags.includes('avx2') && !flags.some((flag) => dotProducts.has(flag))
  if (overflows)
    context.log(
      'weights have 7 bits, because this processor has no VNNI; weightBits: 8 overrides it',
    )
  return { weightBits: overflows ? 7 : 8, perChannel }
}

/** Instruction sets of x86 that multiply 8 bits into 32, as Linux spells them. */
const dotProducts: ReadonlySet<string> = new Set(['avx512_vnni', 'avx_vnni', 'amx_int8'])

const noLayers = 'no Conv, Gemm or MatMul with constant float32 weights is left'

const nothingToQuantize = (reason: string) =>
  new UserError(`${where}: there is nothing to quantize: ${reason} — check the model and 'exclude'`)

function rangeIn(ranges: ReadonlyMap<Value, Range>, value: Value): Range {
  const range = ranges.get(value)
  if (!range) throw new Error(`internal: the range of '${value.name}' was not measured`)
  return range
}

function describeKernels({ integer, float }: Kernels): string {
  const total = [...float.values()].reduce((sum, count) => sum + count, integer)
  const islands = [...float].map(([opType, count]) => `${opType} ${count}`).join(', ')
  return `${integer} of ${total} operators in 8 bits${islands && ` (float: ${islands})`}`
}
