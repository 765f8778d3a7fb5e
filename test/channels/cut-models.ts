// Cutting channels of real models gives what the full ones give without these channels; models that take long are in
// the slow tests.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import { sharedModel } from '../support/shared.ts'
import { type CutOptions, expectSameAsZeroed } from './masking.ts'

/** What is expected of a model. */
export interface Expectation {
  /** All groups, and those that can be cut; by the width of heads where that is another number. */
  readonly groups: readonly [all: number, prunable: number]
  readonly byWidth?: readonly [all: number, prunable: number]
  /** Why the rest cannot be cut: every reason, with the number of groups. */
  readonly reasons: Readonly<Record<string, number>>
  readonly options?: CutOptions
  /** Gives weights that a light model does not hold. */
  readonly fill?: true
}

/** Cuts 30 % of every group of a model, by heads and by their width where these differ. */
export async function expectCut(
  name: string,
  expectation: Expectation,
  seeds: readonly number[],
): Promise<void> {
  const { groups, byWidth, reasons, options, fill } = expectation
  const model = await loadModel(sharedModel(`${name}.onnx`))
  if (fill) fillWeights(model)
  const before = countParameters(model)
  for (const split of byWidth ? (['heads', 'width'] as const) : (['heads'] as const))
    for (const seed of seeds) {
      const found = await expectSameAsZeroed(model, seed, { ...options, split })
      const prunable = found.groups.filter((group) => group.prunable === true)
      expect([found.groups.length, prunable.length]).toEqual(split === 'heads' ? groups : byWidth)
      if (split === 'heads') expect(reasonsOf(found.groups)).toEqual(reasons)
      if (groups[1] > 0)
        expect(countParameters(found.smaller).parameters).toBeLessThan(before.parameters)
    }
  expect(countParameters(model)).toEqual(before)
}

function reasonsOf(groups: readonly { readonly prunable: true | string }[]) {
  const counts: Record<string, number> = {}
  for (const { prunable } of groups)
    if (prunable !== true) counts[prunable] = (counts[prunable] ?? 0) + 1
  return counts
}

/** Puts random weights in place of those that ConstantOfShape makes of one number. */
function fillWeights({ graph }: Model): void {
  const source = random(7, 'weights')
  for (const node of graph.nodes) {
    const shape = node.opType === 'ConstantOfShape' ? node.input(0).tensor : undefined
    if (!shape) continue
    const dims = [...new BigInt64Array(shape.bytes.slice().buffer)].map(Number)
    const size = dims.reduce((product, dim) => product * dim, 1)
    const fan = dims.slice(1).reduce((product, dim) => product * dim, 1)
    const deviation = dims.length > 1 ? Math.sqrt(2 / fan) : 0.2
    // Vectors are scales, biases, means and variances: all of them may be about one.
    const shift = dims.length > 1 ? 0 : 1
    const data = Float32Array.from({ length: size }, () => shift + deviation * source.normal())
    const value = node.output()
    graph.remove(node)
    value.tensor = tensorOf('float32', dims, dims.length > 1 ? data : data.map(Math.abs))
    value.type = { dtype: 'float32', shape: dims }
    graph.initializers.add(value)
  }
}
