// Quantization: fewer bits a number, and a check that the result still does what its input did.
import { join } from 'node:path'
import { UserError } from '../../base/errors.ts'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model, Node, Value } from '../../onnx/graph.ts'
import { liftConstants } from '../../onnx/passes/constants.ts'
import { type ProviderName, providerNamed } from '../../runtime/providers.ts'
import { defineStage, type Facts, type StageContext } from '../stage.ts'
import { compareModels, describeComparison } from '../verify.ts'
import { limits, type Range } from './arithmetic.ts'
import { type AwareResult, trainAware } from './aware/train.ts'
import { foldBranches, withBranches } from './branches.ts'
import { calibrate } from './calibration.ts'
import { type DynamicOptions, quantizeDynamically } from './dynamic.ts'
import { quantizeEmbeddings } from './embeddings.ts'
import { stateFlatInputs } from './flat-normalization.ts'
import { withInterfaceOf } from './float-interface.ts'
import { halfSchemes } from './half.ts'
import { countKernels, type Kernels } from './kernels.ts'
import { layersOfLogarithms } from './logarithms.ts'
import {
  type MachineAdvice,
  machineAdvice,
  preferredForms,
  thoseThatAsk,
  type WeightForm,
  weightForms,
} from './machine.ts'
import { mixerFor } from './mixed.ts'
import { widenOddConvolutions } from './odd-channels.ts'
import { quantizationRuleOf } from './operators.ts'
import { type QuantizeOptions, quantizeOptions } from './options.ts'
import { partActivations } from './paired-activations.ts'
import { activationsOf, type Placement, place } from './placement.ts'
import { compact, copyForQuantization, type Prepared, prepareForIntegers } from './prepare.ts'
import { checkProviders } from './providers-agree.ts'
import { writeIntegerOperators } from './qoperator.ts'
import { quantizeRecurrent } from './recurrent.ts'
import { repairAfter, repairBefore, repairFirst, repairsIntegers } from './repair/repairs.ts'
import { measureQuantization, type QuantizationSensitivity } from './sensitivity.ts'
import { quantizeGraph, type StaticOptions, valuesToMeasure } from './static.ts'
import { type Chooser, namesIn, openTrials, valuesToTry } from './trials.ts'
import { weightsNeedData, weightsSchemes, weightsToTrain } from './weights/schemes.ts'

/** What error messages call the model. */
const where = 'model'

/** Stores a model in fewer bits. */
export const quantize = defineStage({
  summary: 'Store weights and activations in fewer bits',
  options: quantizeOptions,
  checksProviders: true,
  // The other schemes check their result on it, and float16 looks for values that it cannot hold.
  dataUse: (options) =>
    (options.scheme === 'static' && (options.calibration?.from === 'data' || options.aware)) ||
    weightsNeedData(options)
      ? 'always'
      : 'where given',
  // Calibration runs forward over a part of the training data.
  passes: ({ scheme, aware, recover }) =>
    (scheme === 'static' ? 0.05 : 0) +
    (aware ? 3 * aware.epochs : 0) +
    (recover ? 3 * recover.epochs + 1 : 0),
  async run(input, options, context) {
    const prepared = copyForQuantization(input.model, options.exclude, options.quantized)
    const { losses } = input.facts
    if (prepared.quantized && options.quantized === 'keep')
      return {
        model: input.model,
        facts: { ...(losses && { losses }), summary: 'kept: it is quantized already' },
      }
    const wanted = wantedProviders(options, context)
    if (options.format === 'qoperator') refuseIntegerOperators(wanted)
    const widened =
      thoseThatAsk('input channels', wanted).length > 0 ? widenOddConvolutions(prepared.model) : 0
    if (widened > 0)
      context.log(
        `input channels of zeros were added to ${widened} of the convolutions, which webgpu computes wrong without`,
      )
    const mixer = options.mixed && mixerFor(input.model, options.mixed, context, where)
    const done = await apply(prepared, options, context, mixer?.choose)
    const { model } = prepared
    if (thoseThatAsk('pairs of activations', wanted).length > 0) partActivations(model)
    const names = namesIn(model)
    compact(model)
    if (thoseThatAsk('normalization', wanted).length > 0) await stateFlatInputs(model, where)
    const { threads, seed, data } = context
    const mayBeNoise = weightsToTrain.has(options.scheme)
    const settings = { threads, seed, where, mayBeNoise }
    const comparable = withInterfaceOf(input.model, model)
    const comparison = await compareModels(input.model, comparable, data?.calibration, settings)
    const said = await done(model)
    const { summary, ...rest } = typeof said === 'string' ? { summary: said } : said
    const checked = await checkProviders(
      { float: input.model, quantized: model, comparable, names },
      wanted,
      data?.calibration,
      context,
      where,
    )
    const parts = [summary, ...(mixer ? [mixer.summary()] : []), describeComparison(comparison)]
    context.progress({ done: 1 })
    return {
      model,
      facts: {
        ...(losses && { losses }),
        ...rest,
        summary: [...parts, ...checked].join('; '),
      },
    }
  },
})

/**
 * Measures what quantization costs a model layer by layer: each quantized alone, and all but it.
 *
 * The options are those of the stage; a model that cannot be quantized with them is a {@link UserError}.
 */
export async function analyseQuantization(
  model: Model,
  options: QuantizeOptions,
  context: StageContext,
): Promise<QuantizationSensitivity> {
  let found: QuantizationSensitivity | undefined
  const prepared = copyForQuantization(model, options.exclude)
  await apply(prepared, options, context, async (ready, rewrite, among) => {
    found = await measureQuantization(model, openTrials(ready, rewrite, among), context, where)
    return ready.excluded
  })
  if (!found) throw new Error('internal: nothing was measured')
  return found
}

/** Where the result has to run: where the user says, else where it is used and what the benchmark measures. */
const wantedProviders = (
  { providers }: QuantizeOptions,
  context: StageContext,
): readonly ProviderName[] => [
  ...new Set(providers ?? [context.provider, ...(context.providers ?? [])]),
]

/** Refuses integer operators where a provider has no kernels for them. */
function refuseIntegerOperators(wanted: readonly ProviderName[]): void {
  const [provider] = thoseThatAsk('operators', wanted)
  if (provider)
    throw new UserError(
      `quantize: format: there are no kernels for it on ${provider}: 'qoperator' — use qdq, or name the others in 'providers'`,
    )
}

/** Applies a scheme to the prepared model; `choose` decides, on trials, which nodes stay float. */
async function apply(
  prepared: Prepared,
  options: QuantizeOptions,
  context: StageContext,
  choose: Chooser | undefined,
): ReturnType<Scheme> {
  const scheme = schemes[options.scheme]
  // Integers ask by themselves, when all is prepared and ranges are known, so that this is done once.
  if (!choose || options.scheme === 'static' || options.scheme === 'dynamic')
    return await scheme(prepared, options, context, choose)
  const quiet: StageContext = { ...context, log: () => undefined, progress: () => undefined }
  // Weights that branches compute of constants make layers that can be tried, too.
  liftConstants(prepared.model)
  await foldBranches(prepared.model, where)
  const excluded = await choose(prepared, (copy) => scheme(copy, options, quiet))
  return await scheme({ ...prepared, excluded }, options, context)
}

/**
 * Rewrites the prepared model in place; gives what says, of the finished model, what was done. A scheme that takes
 * `choose` asks it what stays float.
 */
type Scheme = (
  prepared: Prepared,
  options: QuantizeOptions,
  context: StageContext,
  choose?: Chooser,
) => Promise<(model: Model) => Said | Promise<Said>>

/** What was done, in one line; and what the user should know of it. */
type Said = string | (Facts & { readonly summary: string })

const schemes: Readonly<Record<QuantizeOptions['scheme'], Scheme>> = {
  async static(given, options, context, choose) {
    const prepared = withoutLogarithms(given, context)
    const { model, excluded } = prepared
    const storage = await storageOf(options, context)
    const { weightBits, perChannel } = storage
    const stored = { ...options, weightBits, perChannel }
    const repaired = [...(await repairFirst(prepared, stored, context))]
    const statistics = await prepareForIntegers(prepared, where)
    repaired.push(...(await repairBefore(prepared, stored, context, statistics)))
    const placement = place(model.graph, excluded, { symmetric: storage.symmetricActivations })
    if (placement.nodes.size === 0) throw nothingToQuantize(noLayers)
    const values = choose ? valuesToTry(placement) : valuesToMeasure(placement)
    const [lowest, highest] = limits[storage.activations]
    const { ranges, summary, advice } = await calibrate(
      { model, values, statistics, where },
      options.calibration,
      { levels: highest - lowest + 1, symmetric: storage.symmetricActivations },
      context,
    )
    const named = new Map([...ranges].map(([{ name }, range]) => [name, range]))
    const untaken = nodesWithout(model, placement, values, named)
    if (untaken.size > 0)
      context.log(
        `${untaken.size} nodes stay float: they are in branches that no calibration sample takes`,
      )
    const measured = { ...prepared, excluded: new Set([...excluded, ...untaken]) }
    const rewrite = (
      { model: each, excluded: float }: Prepared,
      learned?: AwareResult['learned'],
    ): void => {
      const { symmetricActivations: symmetric } = storage
      const placed = place(each.graph, float, { symmetric })
      const stored = { ...storage, learned }
      quantizeGraph(each, placed, ({ name }) => rangeIn(named, name), stored)
    }
    const finish = (each: Prepared): string => {
      if (options.format === 'qoperator') writeIntegerOperators(each.model)
      return storeEmbeddings(each, options)
    }
    const left = choose
      ? await choose(measured, (each) => {
          rewrite(each)
          finish(each)
        })
      : measured.excluded
    const chosen: Prepared = { ...prepared, excluded: left }
    const float = repairsIntegers(options) ? cloneModel(model) : undefined
    const aware =
      options.aware &&
      (await trainAware(
        model,
        place(model.graph, left, { symmetric: storage.symmetricActivations }),
        ({ name }) => rangeIn(named, name),
        {
          ...storage,
          weightBits: options.aware.weightBits ?? weightBits,
          activationBits:
            options.aware.activationBits ?? (storage.activations.endsWith('16') ? 16 : 8),
        },
        options.aware,
        context,
        where,
      ))
    rewrite(chosen, aware?.learned)
    if (float) repaired.push(...(await repairAfter(float, model, stored, context)))
    const tables = finish(chosen)
    return async (quantized) => {
      const kernels = await kernelsIn(quantized, storage, context)
      return {
        ...aware?.facts,
        summary: `static, ${[summary, ...repaired].join(', ')}: ${kernels}${tables}${aware ? `; aware of it: ${aware.facts.summary}` : ''}`,
        ...(advice.length > 0 && { advice }),
      }
    }
  },

  async dynamic(given, options, context, choose) {
    const prepared = withoutLogarithms(given, context)
    const { excluded } = prepared
    const weights = await weightOptions(options, context)
    const stored = { ...options, ...weights }
    const repaired = [...(await repairFirst(prepared, stored, context))]
    const statistics = await prepareForIntegers(prepared, where)
    repaired.push(...(await repairBefore(prepared, stored, context, statistics)))
    const write = (each: Prepared) => ({
      layers:
        quantizeDynamically(each.model.graph, each.excluded, weights) +
        quantizeRecurrent(each.model, each.excluded, weights),
      tables: storeEmbeddings(each, options),
    })
    const left = choose ? await choose(prepared, write, 'layers') : excluded
    const { layers, tables } = write({ ...prepared, excluded: left })
    if (layers === 0 && !tables) throw nothingToQuantize(noLayers)
    return () => `dynamic: ${[`${layers} layers in 8 bits`, ...repaired].join(', ')}${tables}`
  },

  ...halfSchemes,
  ...weightsSchemes,
}

/** Lets the layers stay float whose small numbers a logarithm makes large. */
function withoutLogarithms(prepared: Prepared, { log }: StageContext): Prepared {
  const layers = layersOfLogarithms(prepared.model.graph)
  if (layers.length === 0) return prepared
  log(
    `${layers.length} layers stay float: logarithms read them, to which small numbers matter as much as large ones`,
  )
  return { ...prepared, excluded: new Set([...prepared.excluded, ...layers]) }
}

/** The nodes of branches with values whose ranges are not known, for nothing ran there. */
function nodesWithout(
  { graph }: Model,
  { nodes, rangeOf }: Placement,
  values: readonly Value[],
  ranges: ReadonlyMap<string, Range>,
): ReadonlySet<Node> {
  const unknown = new Set(values.filter(({ name }) => !ranges.has(name)))
  const lacks = (value: Value | undefined) => value && unknown.has(rangeOf.get(value) ?? value)
  const placed = withBranches(graph).map((each) => each.nodes.filter((node) => nodes.has(node)))
  const untaken = placed.filter((own) =>
    own.some((node) => [...activationsOf(node), ...node.outputs].some(lacks)),
  )
  return new Set(untaken.flat())
}

/** How static quantization stores numbers. */
async function storageOf(options: QuantizeOptions, context: StageContext): Promise<StaticOptions> {
  const { activations = 'uint8', symmetric = 'weights' } = options
  const { dtype, ...weights } = await weightOptions(options, context)
  return {
    ...weights,
    activations,
    symmetricActivations: symmetric === 'activations' || symmetric === 'both',
    weights: dtype,
    symmetricWeights: symmetric === 'weights' || symmetric === 'both',
  }
}

/** Stores embeddings where that is wanted; what to say of it. */
function storeEmbeddings(
  { model, excluded }: Prepared,
  { embeddings = true }: QuantizeOptions,
): string {
  const count = embeddings ? quantizeEmbeddings(model.graph, excluded) : 0
  if (count === 0) return ''
  return `, ${count} embedding${count === 1 ? '' : 's'} in 8 bits`
}

/**
 * How weights are stored: sums of two 8-bit products overflow 16 bits on x86 processors before VNNI; weights of 7 bits
 * cannot reach that far, and unsigned ones are added otherwise.
 */
async function weightOptions(
  options: QuantizeOptions,
  context: StageContext,
): Promise<DynamicOptions> {
  const { scheme, weights, weightBits, perChannel = true } = options
  if (scheme === 'static' && weightBits !== undefined)
    return { weightBits, perChannel, dtype: weights ?? 'int8' }
  const forms = preferredForms[scheme === 'static' ? scheme : 'dynamic'].filter(
    (form) =>
      (weights ?? weightForms[form].dtype) === weightForms[form].dtype &&
      (weightBits ?? weightForms[form].bits) === weightForms[form].bits,
  )
  const advice = await adviceForAll(wantedProviders(options, context), forms)
  if (weightBits === undefined && advice.weightBits === 7)
    context.log(
      `weights have 7 bits: ${advice.reason}; weights: uint8 keeps all 8, in slower kernels, and weightBits: 8 overrides it`,
    )
  return { weightBits: advice.weightBits, perChannel, dtype: advice.dtype }
}

/** What is right on all of the providers that are here: what suits the pickiest of them suits the others. */
async function adviceForAll(
  wanted: readonly ProviderName[],
  forms: readonly WeightForm[],
): Promise<MachineAdvice> {
  const all: MachineAdvice[] = []
  for (const provider of wanted)
    if ((await providerNamed(provider).available()).available)
      all.push(await machineAdvice(provider, forms))
  if (all.length === 0) return await machineAdvice('cpu', forms)
  const rank = ({ form }: MachineAdvice) => forms.indexOf(form)
  return all.reduce((most, each) => (rank(each) > rank(most) ? each : most))
}

const noLayers = 'no Conv, Gemm or MatMul with constant float32 weights is left'

const nothingToQuantize = (reason: string) =>
  new UserError(`${where}: there is nothing to quantize: ${reason} — check the model and 'exclude'`)

function rangeIn(ranges: ReadonlyMap<string, Range>, name: string): Range {
  const range = ranges.get(name)
  if (!range) throw new Error(`internal: the range of '${name}' was not measured`)
  return range
}

/** Which operators run on integers; for 16 bits there is no integer kernel that ONNX Runtime's providers here have. */
async function kernelsIn(
  model: Model,
  { activations }: StaticOptions,
  { folder }: StageContext,
): Promise<string> {
  if (limits[activations][1] <= limits.uint8[1])
    return describeKernels(await countKernels(model, join(folder, 'optimized.onnx')))
  const layers = model.graph.nodes.filter((node) => quantizationRuleOf(node)?.kind === 'layer')
  const stored = layers.filter((node) => node.input(1).producer?.opType === 'DequantizeLinear')
  return `${stored.length} layers with weights in 8 bits and activations in ${activations}, computed in float`
}

function describeKernels({ integer, float }: Kernels): string {
  const total = [...float.values()].reduce((sum, count) => sum + count, integer)
  const islands = [...float].map(([opType, count]) => `${opType} ${count}`).join(', ')
  return `${integer} of ${total} operators in 8 bits${islands && ` (float: ${islands})`}`
}
