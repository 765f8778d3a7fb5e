// The schemes of which weights alone know, for the tables of the stage.
import type { Model } from '../../../onnx/graph.ts'
import type { StageContext } from '../../stage.ts'
import type { Prepared } from '../prepare.ts'
import {
  binaryWeights,
  type ClusterOptions,
  clusters,
  clustersShape,
  type SaidOfWeights,
  ternaryWeights,
} from './codebooks.ts'
import {
  type WeightOnlyOptions,
  weightOnly,
  weightOnlyNeedsData,
  weightOnlyShape,
} from './weight-only.ts'

/** Fields of the options of these schemes. */
export const weightsShape = { ...weightOnlyShape, ...clustersShape }

/** Which of the options go with which of the schemes. */
export const weightsApplicable = {
  'weight-only': Object.keys(weightOnlyShape),
  ternary: [],
  binary: [],
  clusters: ['bits', ...Object.keys(clustersShape)],
} as const

/** Resolved options of these schemes. */
export type WeightsOptions = WeightOnlyOptions & ClusterOptions

/** What is wrong with options that go with their scheme, by the option. */
export function weightsIssues(
  options: WeightsOptions & { readonly scheme: string },
): readonly { readonly path: string; readonly message: string }[] {
  const { scheme, bits, clusters: count, samples, order, algorithm } = options
  const issues: { path: string; message: string }[] = []
  if (scheme === 'weight-only' && bits !== undefined && ![8, 4, 2].includes(bits))
    issues.push({ path: 'bits', message: `is 8, 4 or 2 with scheme 'weight-only', not ${bits}` })
  if (scheme === 'weight-only' && samples !== undefined && !weightOnlyNeedsData(options))
    issues.push({ path: 'samples', message: "goes with the algorithms 'gptq' and 'awq'" })
  if (scheme === 'weight-only' && order !== undefined && algorithm !== 'gptq')
    issues.push({ path: 'order', message: "goes with the algorithm 'gptq'" })
  if (scheme === 'clusters' && bits !== undefined && count !== undefined)
    issues.push({ path: 'clusters', message: 'goes without bits: give one of them' })
  return issues
}

/** Whether a scheme cannot do without data. */
export const weightsNeedData = (options: WeightsOptions & { readonly scheme: string }): boolean =>
  options.recover !== undefined ||
  (options.scheme === 'weight-only' && weightOnlyNeedsData(options))

/** Schemes that leave so little of the weights that what comes out is where a training begins. */
export const weightsToTrain: ReadonlySet<string> = new Set(['ternary', 'binary'])

type WeightsScheme = (
  prepared: Prepared,
  options: WeightsOptions,
  context: StageContext,
) => Promise<(model: Model) => SaidOfWeights>

/** The schemes by name. */
export const weightsSchemes = {
  'weight-only': weightOnly,
  ternary: ternaryWeights,
  binary: binaryWeights,
  clusters,
} as const satisfies Record<string, WeightsScheme>
