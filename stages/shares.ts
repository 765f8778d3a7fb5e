// What a model costs, and shares of it as log and summaries say them.

import type { Model } from '../onnx/graph.ts'
import { countMacs } from '../onnx/multiplications.ts'
import { countParameters } from '../onnx/parameters.ts'

/** A share as percent. */
export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`

/** What a model costs. */
export interface Costs {
  /** Multiply-accumulates; undefined where a shape is not known. */
  readonly macs: number | undefined
  readonly parameters: number
}

/** The costs of a model whose shapes are stated. */
export const costsOf = (model: Model): Costs => ({
  macs: countMacs(model),
  parameters: countParameters(model).parameters,
})

/** What is left, such as "50.0 % of MACs and 57.8 % of parameters left". */
export function sharesLeft(after: Costs, before: Costs): string {
  const parts = (['macs', 'parameters'] as const).flatMap((key) => {
    const [now, whole] = [after[key], before[key]]
    return now !== undefined && whole ? [`${percent(now / whole)} of ${names[key]}`] : []
  })
  return `${parts.join(' and ')} left`
}

const names = { macs: 'MACs', parameters: 'parameters' } as const
