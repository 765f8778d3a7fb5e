// The operators of graph models that are converted, by name.
import { arrangementOperators } from './arrangement.ts'
import { blockOperators } from './blocks.ts'
import { elementwiseOperators } from './elementwise.ts'
import type { OperatorRule } from './node.ts'
import { partOperators } from './parts.ts'
import { reductionOperators } from './reductions.ts'
import { windowOperators } from './windows.ts'

/** Rules by `op`. Placeholders and constants are the walk's own business. */
export const operatorRules: ReadonlyMap<string, OperatorRule> = new Map(
  Object.entries({
    ...arrangementOperators,
    ...blockOperators,
    ...elementwiseOperators,
    ...partOperators,
    ...reductionOperators,
    ...windowOperators,
  }),
)
