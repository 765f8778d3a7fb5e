// The stages: a new one is a file here and a row in both of these tables.
import { distill } from './distill/index.ts'
import { exportModel } from './export.ts'
import { factorize } from './factorize/index.ts'
import { optimize } from './optimize.ts'
import { prune } from './prune/index.ts'
import { quantize } from './quantize/index.ts'
import { train } from './train.ts'

/** Stage by the name that recipes and the command line call it. */
export interface Stages {
  // Written out, for declaration files cannot hold all options of all stages as one type.
  readonly train: typeof train
  readonly distill: typeof distill
  readonly prune: typeof prune
  readonly factorize: typeof factorize
  readonly quantize: typeof quantize
  readonly optimize: typeof optimize
  readonly export: typeof exportModel
}

/** The stages. */
export const stages: Stages = {
  train,
  distill,
  prune,
  factorize,
  quantize,
  optimize,
  export: exportModel,
}

/** The name of a stage. */
export type StageName = keyof Stages
