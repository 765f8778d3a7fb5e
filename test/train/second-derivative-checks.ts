// Gradients of gradients, against second differences of the float64 reference: rules are made of operators that have
// rules themselves (gradients.test.ts looks that they are), so that a gradient can be differentiated once more.
import { expect } from '@jest/globals'
import { random } from '../../base/random.ts'
import { build } from '../../onnx/build.ts'
import type { Value } from '../../onnx/graph.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { numbers, tensorOf } from '../../onnx/tensor.ts'
import { withSession } from '../../runtime/session.ts'
import { inferShapes } from '../../runtime/shapes.ts'
import { backward } from '../../train/backward.ts'
import { decompose } from '../../train/decompose.ts'
import { standard } from '../../train/lowerings/standard.ts'
import { writeOutBatchNormalization } from '../../train/training-form.ts'
import { type NdArray, nd } from '../support/reference/nd.ts'
import {
  type CaseGraph,
  type CaseRow,
  caseGraph,
  caseRows,
  evaluate,
  feedsOf,
  inputsOf,
  someOf,
  weighted,
  weightsOf,
} from './case-graph.ts'
import { isDrawn } from './cases/case.ts'

/** Operators that round: a second difference of theirs is none. */
const rounding: ReadonlySet<string> = new Set(['Cast', 'DequantizeLinear', 'QuantizeLinear'])

/**
 * Leaves out cases with zeros among the factors, where the quotient by a factor is no formula for the second derivative,
 * and recurrent ones whose activation has corners, which some of many differences cross.
 */
const isSmooth = ({ operator, inputs, title }: CaseRow): boolean =>
  !rounding.has(operator) &&
  !/ activations=\S*HardSigmoid/.test(title) &&
  !(operator === 'ReduceProd' && inputs.some((input) => isDrawn(input) && input.step))

/** The cases that have second derivatives. */
export const smoothRows: readonly CaseRow[] = caseRows.filter(isSmooth)

/** Expects the gradient of a case's gradient to be a difference of differences of the reference. */
export async function expectSecondDerivative(row: CaseRow): Promise<void> {
  const inputs = inputsOf(row)
  const weights = weightsOf(row, evaluate(row, inputs))
  const drawn = row.inputs.flatMap((input, index) => (isDrawn(input) ? [index] : []))
  const directions = inputs.map((array, index) => {
    const source = random(3, row.title, index)
    return (
      array &&
      nd(
        array.dims,
        array.data.map(() => (source.integer(255) - 127) / 128),
      )
    )
  })
  const found = await second(row, inputs, directions)

  // d/dx of the slope along the directions: a difference of differences.
  const h = 1e-3
  const moved = (share: number) =>
    inputs.map((array, index) =>
      array && drawn.includes(index)
        ? nd(
            array.dims,
            array.data.map((value, place) => value + share * directions[index]!.data[place]!),
          )
        : array,
    )
  const [ahead, back] = [moved(h), moved(-h)]
  for (const index of drawn) {
    const at = (arrays: readonly (NdArray | undefined)[], place: number, step: number) => {
      const { dims, data } = arrays[index]!
      const shifted = nd(dims, data.with(place, data[place]! + step))
      return weighted(evaluate(row, arrays.with(index, shifted)), weights)
    }
    const places = someOf(inputs[index]!.data.length, 16)
    const exact = places.map(
      (place) =>
        (at(ahead, place, h) - at(ahead, place, -h) - at(back, place, h) + at(back, place, -h)) /
        (4 * h * h),
    )
    const apart = exact.map((value, order) => found.get(index)![places[order]!]! - value)
    expect(Math.hypot(...apart)).toBeLessThan(1e-3 * (Math.hypot(...exact) + 0.1))
  }
}

/** A case with its gradients, which are outputs of the graph. */
async function differentiated(row: CaseRow): Promise<CaseGraph & { found: Map<Value, Value> }> {
  const weights = weightsOf(row, evaluate(row, inputsOf(row)))
  const graph = await caseGraph(row, weights)
  const { g, wanted, loss, model } = graph
  const found = backward(g, loss, new Set(wanted.keys()), standard)
  g.graph.outputs.splice(0)
  g.graph.outputs.push(...found.values())
  removeDeadNodes(g.graph)
  await inferShapes(model)
  return { ...graph, found }
}

/** The gradients of Σ gradient · direction, by the number of the input. */
async function second(
  row: CaseRow,
  inputs: readonly (NdArray | undefined)[],
  directions: readonly (NdArray | undefined)[],
): Promise<Map<number, number[]>> {
  const graph = await differentiated(row)
  const { model, wanted, found } = graph
  const g = build(model.graph)
  const slopes = [...found].map(([value, gradient]) => {
    const { dims, data } = directions[wanted.get(value)!]!
    const product = g.Mul(gradient, tensorOf('float32', dims, Array.from(data)))
    return g.ReduceSum(product, { keepdims: 0 })
  })
  const slope = slopes.reduce((sum, each) => g.Add(sum, each))
  g.graph.outputs.splice(0)
  g.graph.outputs.push(slope)
  await inferShapes(model)
  await decompose(model)
  const again = backward(g, slope, new Set(wanted.keys()), standard)
  for (const each of graph.statistics) writeOutBatchNormalization(g.graph, each)
  for (const [value, gradient] of again) g.output(`second${wanted.get(value)}`, gradient)
  removeDeadNodes(g.graph)
  const results = await withSession(model, {}, (session) => session.run(feedsOf(graph, inputs)))
  return new Map(
    [...wanted.values()].map((index) => {
      const result = results[`second${index}`]
      return [index, result ? numbers(result) : inputs[index]!.data.map(() => 0)] as const
    }) as [number, number[]][],
  )
}
