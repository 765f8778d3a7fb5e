// The schemes that stay in floating point: float16 to compute in, and float16, bfloat16 and 8-bit floats to store in.
// ONNX Runtime 1.30 computes in bfloat16 only where nothing is added or multiplied, on its CPU provider: no Conv, no MatMul.
import { z } from 'zod'
import { throwIfAborted, UserError } from '../../base/errors.ts'
import { largestFloat16 } from '../../base/float16.ts'
import { firstSamples } from '../../base/samples.ts'
import { type Model, type Node, opsetOf, type Value, type ValueType } from '../../onnx/graph.ts'
import { upgradeOpset } from '../../onnx/passes/upgrade.ts'
import { simplify } from '../optimize.ts'
import type { StageContext } from '../stage.ts'
import { foldBranches } from './branches.ts'
import { measureRanges } from './calibrate.ts'
import { convertToFloat16 } from './float16.ts'
import { inferAllTypes } from './inner-types.ts'
import { nodesOfLogarithms } from './logarithms.ts'
import type { Prepared } from './prepare.ts'
import { refuseNaN } from './small-floats.ts'
import { type StoredType, storeConstants } from './storage.ts'

/** What error messages call the model. */
const where = 'model'

/** Fields of the options of these schemes. */
export const halfShape = {
  keepTypes: z
    .boolean()
    .optional()
    .describe(
      'float16: inputs and outputs stay float32; true unless given. false: they become float16 too.',
    ),
  weightsOnly: z
    .boolean()
    .optional()
    .describe(
      'float16: only constants are stored so, and the runtime makes them float32 when it opens the file, which is faster where there are no float16 kernels, as on most CPUs; false unless given.',
    ),
  largest: z
    .number()
    .gt(0)
    .max(largestFloat16)
    .optional()
    .describe(
      'float16: nodes that values larger than this go through, on the data, stay float32; 32752 unless given, half of what float16 holds.',
    ),
  float8: z
    .enum(['e4m3fn', 'e4m3fnuz', 'e5m2', 'e5m2fnuz'])
    .optional()
    .describe(
      'float8: bits of exponent and fraction, as ONNX names them; e4m3fn unless given, which is the most precise.',
    ),
}

/** Which of the options go with which of the schemes. */
export const halfApplicable = {
  float16: ['keepTypes', 'weightsOnly', 'largest'],
  bfloat16: [],
  float8: ['float8', 'perChannel'],
} as const

/** Resolved options of these schemes. */
export interface HalfOptions {
  readonly keepTypes?: boolean | undefined
  readonly weightsOnly?: boolean | undefined
  readonly largest?: number | undefined
  readonly float8?: 'e4m3fn' | 'e4m3fnuz' | 'e5m2' | 'e5m2fnuz' | undefined
  readonly perChannel?: boolean | undefined
}

type HalfScheme = (
  prepared: Prepared,
  options: HalfOptions,
  context: StageContext,
) => Promise<(model: Model) => string>

/** The schemes by name; each rewrites the prepared model in place. */
export const halfSchemes: Readonly<Record<keyof typeof halfApplicable, HalfScheme>> = {
  async float16(prepared, options, context) {
    if (!options.weightsOnly) return computeInFloat16(prepared, options, context)
    for (const key of ['keepTypes', 'largest'] as const)
      if (options[key] !== undefined)
        throw new UserError(
          `${key}: does not go with 'weightsOnly', which computes in float32 — leave one of the two out`,
        )
    return store(prepared, { dtype: 'float16', opset: 7, perChannel: false }, context)
  },

  bfloat16: (prepared, _options, context) =>
    store(prepared, { dtype: 'bfloat16', opset: 13, perChannel: false }, context),

  float8: (prepared, { float8 = 'e4m3fn', perChannel = true }, context) =>
    store(prepared, { dtype: `float8${float8}`, opset: 19, perChannel }, context),
}

async function computeInFloat16(
  { model, excluded }: Prepared,
  { keepTypes = true, largest = largestFloat16 / 2 }: HalfOptions,
  context: StageContext,
): Promise<(model: Model) => string> {
  // A BatchNormalization that is folded cannot have a variance beyond float16.
  await simplify(model, where)
  refuseNaN(model.graph, excluded, where)
  const types = await inferAllTypes(model, where)
  const beyond = await nodesBeyond(model, types, largest, context)
  if (beyond.size > 0)
    context.log(
      `${beyond.size} nodes stay float32, because values beyond ±${largest} go through them (float16 ends at ±${largestFloat16})`,
    )
  const kept = new Set([...excluded, ...beyond, ...nodesOfLogarithms(model.graph)])
  const report = convertToFloat16(model.graph, { types, excluded: kept, keepTypes })
  const { half, single, clamped } = report
  if (half === 0) throw nothingToStore('no node with float32 inputs or outputs can be float16')
  for (const [name, count] of report.beyond)
    context.log(
      `'${name}' has ${count} numbers beyond float16's ±${largestFloat16}: its nodes stay float32`,
    )
  for (const [name, count] of clamped)
    context.log(
      `'${name}' has ${count} numbers beyond float16's ±${largestFloat16}, which were clamped`,
    )
  return () => `float16: ${half} of ${half + single} operators`
}

/** Stores constants in another type, at an opset that has it. */
async function store(
  { model, excluded }: Prepared,
  { opset, ...storage }: { dtype: StoredType; opset: number; perChannel: boolean },
  context: StageContext,
): Promise<(model: Model) => string> {
  if (opsetOf(model) < opset) upgradeOpset(model, opset, where)
  await simplify(model, where)
  // Weights that branches compute of constants, as those of an LSTM, are found as such.
  await foldBranches(model, where)
  refuseNaN(model.graph, excluded, where)
  const { stored, beyond } = storeConstants(model.graph, excluded, storage)
  for (const name of beyond)
    context.log(`'${name}' has numbers that ${storage.dtype} cannot hold: it stays float32`)
  if (stored === 0) throw nothingToStore(`no constant of float32 is left for ${storage.dtype}`)
  return () => `${storage.dtype}: ${stored} constants, computed in float32`
}

/** Samples on which activations are compared with what float16 can hold. */
const rangeSamples = 64

/**
 * The nodes that make or read values which float16 cannot hold; without data none is known, nor of values in subgraphs.
 */
async function nodesBeyond(
  model: Model,
  types: ReadonlyMap<Value, ValueType>,
  largest: number,
  context: StageContext,
): Promise<ReadonlySet<Node>> {
  const { data, threads, signal } = context
  if (!data || data.calibration.size === 0) return new Set()
  const values = model.graph.nodes.flatMap((node) =>
    node.outputs.filter((output) => output && types.get(output)?.dtype === 'float32'),
  ) as Value[]
  const ranges = await measureRanges(model, values, firstSamples(data.calibration, rangeSamples), {
    method: 'minmax',
    share: 1,
    where,
    threads,
    check: () => throwIfAborted(signal),
    progress: (done) => context.progress({ done: 0.9 * done }),
  })
  const nodes = new Set<Node>()
  for (const [value, { min, max }] of ranges) {
    // Written so that NaN, too, counts as beyond.
    if (min >= -largest && max <= largest) continue
    for (const node of [value.producer, ...value.users]) if (node) nodes.add(node)
  }
  return nodes
}

const nothingToStore = (reason: string) =>
  new UserError(`${where}: there is nothing to quantize: ${reason} — check the model and 'exclude'`)
