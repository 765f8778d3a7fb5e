// Small models to cut, and what is expected of their groups.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { type Builder, newModel } from '../../onnx/build.ts'
import { declareDomains, type Model, type Value } from '../../onnx/graph.ts'
import { sizeOf, type Tensor, tensorOf } from '../../onnx/tensor.ts'
import { type CutOptions, expectSameAsZeroed } from './masking.ts'

const source = random(3, 'weights')

/** A tensor of normal numbers; positive ones for what is a variance or divides. */
export function noise(dims: readonly number[], positive = false): Tensor {
  const data = Float32Array.from({ length: sizeOf(dims) }, () => source.normal() * 0.5)
  return tensorOf('float32', dims, positive ? data.map((value) => Math.abs(value) + 0.5) : data)
}

/** A model from `x` `[N, …shape]` to the values that the body gives. */
export function modelOf(
  body: (g: Builder, x: Value) => Value | readonly Value[],
  shape: readonly number[] = [3, 8, 8],
  opset = 21,
): Model {
  const { model, g } = newModel('small', opset)
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...shape] })
  for (const [index, y] of [body(g, x)].flat().entries())
    g.output(index === 0 ? 'y' : `y${index}`, y as Value, { dtype: 'float32' })
  declareDomains(model)
  return model
}

/** What a small model is cut with, and its groups: the channels of each, or its reason. */
export type Row = readonly [Model, readonly (number | string)[], CutOptions?]

/** Cuts twice, and expects the outputs of what remains and the groups. */
export async function expectRow([model, groups, options]: Row): Promise<void> {
  for (const seed of [1, 2]) {
    const found = await expectSameAsZeroed(model, seed, options)
    expect(
      found.groups.map(({ channels, prunable }) => (prunable === true ? channels : prunable)),
    ).toEqual(groups)
  }
}

/** The reason of what the model gives. */
export const kept = "output 'y' of the model keeps its shape"
