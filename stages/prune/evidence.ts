// What criteria know besides the weights, one row for each kind: numbers that go with the elements of weights.
import { UserError } from '../../base/errors.ts'
import type { Model, Value } from '../../onnx/graph.ts'
import type { Companions, Evidence } from './criteria/criterion.ts'
import { curvature, lossGradients, meanGradient, sampleGradients } from './gradients.ts'
import { inputCurvature, inputNorms } from './moments.ts'

/** Gives the companions of some initializers of a model, lot by lot; those that have none are left out. */
type Source = (
  model: Model,
  evidence: Evidence,
  values: readonly Value[],
) => AsyncIterable<Companions> | Iterable<Companions>

/** The kinds of companions; all lots together never need more memory than one. */
const sources = {
  /** The gradient of the loss, batch by batch. */
  'batch gradients': lossGradients,
  /** The gradient of the loss, sample by sample. */
  'sample gradients': sampleGradients,
  /** The gradient of the mean loss of all samples. */
  'mean gradient': meanGradient,
  /** The diagonal of the Hessian of the loss. */
  curvature,
  /** ‖x‖ of the input of each weight over all samples and positions. */
  'input norms': inputNorms,
  /** What the inverse of xᵀx has for the input of each weight, inverted. */
  'input curvature': inputCurvature,
  /** What the training has accumulated. */
  movement: (_, { movement }) => {
    if (!movement)
      throw new UserError(
        "criterion: 'movement' is learned in training, and there was none — give recover and a schedule, or use another criterion, as taylor",
      )
    return [movement]
  },
} as const satisfies Record<string, Source>

/** The name of a kind of companions. */
export type CompanionName = keyof typeof sources

/** Gives the companions of some initializers of a model, lot by lot; a lot is valid until the next is asked for. */
export const companionsOf = (
  name: CompanionName,
  { model, ...evidence }: Evidence & { readonly model: Model },
  values: readonly Value[],
): AsyncIterable<Companions> | Iterable<Companions> =>
  (sources[name] as Source)(model, evidence, values)
