// The methods of factorization: a new one is a file in methods/ and a row in this table.

import type { Method } from './method.ts'
import { channelSvd } from './methods/channel-svd.ts'
import { cp } from './methods/cp.ts'
import { nmf } from './methods/nmf.ts'
import { spatialSvd } from './methods/spatial-svd.ts'
import { svd } from './methods/svd.ts'
import { tensorTrain } from './methods/tensor-train.ts'
import { tucker2 } from './methods/tucker-2.ts'

/** Methods by name. Of several that lose as much for as many operations, the first is taken. */
export const methods = {
  svd,
  'channel-svd': channelSvd,
  'spatial-svd': spatialSvd,
  'tucker-2': tucker2,
  cp,
  'tensor-train': tensorTrain,
  nmf,
} as const satisfies Record<string, Method>

/** The name of a method. */
export type MethodName = keyof typeof methods

/** All names, in the order of the table. */
export const methodNames = Object.keys(methods) as readonly MethodName[]
