// Cases of normalizations.
import { floats, type GradientCase, one, x } from './case.ts'

const skip: readonly GradientCase[] = [
  one([x(2, 3, 4), x(2, 3, 4), x(4)]),
  one([x(2, 3, 4), x(2, 3, 4), x(4)], { epsilon: 0.01 }, { outputs: 4 }),
]

/** Cases by operator. */
export const normalizationCases: Readonly<Record<string, readonly GradientCase[]>> = {
  GroupNormalization: [
    one([x(2, 4, 3), x(4), x(4)], { num_groups: 2 }),
    one([x(2, 4, 2, 3), x(4), x(4)], { num_groups: 4, epsilon: 0.1 }),
    one([x(2, 6, 2, 2), x(6), x(6)], { num_groups: 1 }),
  ],
  InstanceNormalization: [
    one([x(2, 3, 5), x(3), x(3)]),
    one([x(2, 2, 3, 2), x(2), x(2)], { epsilon: 0.1 }),
  ],
  LRN: [
    one([x(2, 5, 2, 3)], { size: 3 }),
    one([x(1, 6, 2, 2)], { size: 5, alpha: 0.3, beta: 0.5, bias: 2 }),
    one([x(2, 4, 1, 3)], { size: 1, alpha: 0.5 }),
  ],
  LayerNormalization: [
    one([x(3, 5), x(5), x(5)]),
    one([x(2, 3, 4), x(4)], { epsilon: 0.01 }),
    one([x(2, 3, 4), x(3, 4), x(3, 4)], { axis: 1 }),
    one([x(2, 3, 2, 2), x(2, 2), x(2, 2)], { axis: -2 }),
    one([x(3, 5), x(5), x(5)], {}, { outputs: 3 }),
    one([x(2, 3, 4), floats(1, 2, 3, 4)], { axis: -1 }, { outputs: 3, weighted: [1, 2] }),
  ],
  LpNormalization: [
    one([x(3, 5)]),
    one([x(2, 3, 4)], { axis: 1, p: 2 }),
    one([x(2, 3, 4)], { axis: 0, p: 1 }),
    one([x(3, 4)], { p: 1 }),
  ],
  MeanVarianceNormalization: [
    one([x(2, 3, 2, 3)]),
    one([x(2, 3, 4)], { axes: [1, 2] }),
    one([x(4, 3)], { axes: [0] }),
  ],
  RMSNormalization: [
    one([x(3, 5), x(5)]),
    one([x(2, 3, 4), x(3, 4)], { axis: 1, epsilon: 0.1 }),
    one([x(2, 3, 4), x(4)], { axis: -1 }),
  ].map((each) => ({ ...each, opset: 23 })),
  SimplifiedLayerNormalization: [
    one([x(3, 5), x(5)]),
    one([x(2, 3, 4), x(4)], { axis: -1, epsilon: 0.1 }),
  ],
  'com.microsoft.SkipLayerNormalization': [
    ...skip,
    one([x(2, 3, 4), x(2, 3, 4), x(4), x(4), x(4)]),
    one([x(2, 3, 4), x(2, 3, 4), x(4), undefined, x(4)], {}, { outputs: 4 }),
  ],
  'com.microsoft.SkipSimplifiedLayerNormalization': [
    ...skip,
    one([x(2, 3, 4), x(2, 3, 4), x(4), x(4)], {}, { outputs: 4 }),
  ],
}
