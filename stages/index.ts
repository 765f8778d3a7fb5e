// The stages: a new one is a file here and a row in this table.
import { distill } from './distill/index.ts'
import { exportModel } from './export.ts'
import { factorize } from './factorize/index.ts'
import { optimize } from './optimize.ts'
import { prune } from './prune/index.ts'
import { quantize } from './quantize/index.ts'
import { train } from './train.ts'

/** Stage by the name that recipes and the command line call it. */
export const stages = { train, distill, prune, factorize, quantize, optimize, export: exportModel }

/** The name of a stage. */
export type StageName = keyof typeof stages
