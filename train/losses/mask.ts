// Padding of sequences: an input of the model says which positions count.
import { z } from 'zod'
import { UserError } from '../../base/errors.ts'
import type { Builder } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import type { LossContext } from '../loss-context.ts'
import { shapeOf } from '../rule.ts'
import { float32 } from './formulas.ts'

/** The option of losses on sequences that may be padded. */
export const mask = z
  .string()
  .min(1)
  .optional()
  .describe(
    "Input of the model, [N, L], that is 1 where a position counts and 0 where it is padding, such as 'attention_mask'.",
  )

/** The input as float32 `[batch, length]`; undefined where no name is given. */
export function maskOf(
  g: Builder,
  { inputs, batch, where }: LossContext,
  name: string | undefined,
  length: number,
): Value | undefined {
  if (name === undefined) return undefined
  const input = inputs.find((each) => each.name === name)
  if (!input)
    throw new UserError(
      `${where}: mask: no such input: '${name}' — name one of ${inputs.map((each) => `'${each.name}'`).join(', ')}`,
    )
  const shape = shapeOf(input)
  if (String(shape) !== String([batch, length]))
    throw new UserError(
      `${where}: mask: not a number for each position: '${name}' [${shape}] for [${[batch, length]}] — name another input`,
    )
  return g.Cast(input, { to: float32 })
}
