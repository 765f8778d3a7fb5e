// Operators that reduce an axis or run along it.
import { tensorOf } from '../../../onnx/tensor.ts'
import { reduce } from '../arithmetic.ts'
import { cast } from '../arrange.ts'
import type { Term } from '../term.ts'
import { productOfContent, withContent } from './content.ts'
import { axesOf, integers, type OperatorCall, type OperatorRule } from './node.ts'

const reduction =
  (opType: string): OperatorRule =>
  (call) => {
    const { w, node, x } = call
    const keep = node.flag('keep_dims') || node.flag('keepDims')
    const made = reduce(w, opType, x, axesOf(call, 1), keep)
    return opType === 'ReduceProd' ? withContent(w, made, productOfContent(x)) : made
  }

/** Boolean reductions by integers. */
const boolean =
  (opType: string): OperatorRule =>
  (call) => {
    const { w, node, x } = call
    return cast(
      w,
      reduce(w, opType, cast(w, x, 'int32'), axesOf(call, 1), node.flag('keep_dims')),
      'bool',
    )
  }

const extreme =
  (opType: string): OperatorRule =>
  (call) => {
    const { w, x } = call
    const [axis = 0] = axesOf(call, 1)
    const shape = x.shape.filter((_, each) => each !== axis)
    const made = w.emit(
      opType,
      [x],
      { dtype: 'int64', shape },
      { attributes: { axis, keepdims: 0 } },
    )
    return cast(w, made, 'int32')
  }

/** Running sums along an axis. */
function cumulativeSum(call: OperatorCall): Term {
  const { w, node, x } = call
  const [axis = 0] = axesOf(call, 1)
  const place = w.constant('axis', () => tensorOf('int64', [], [axis]))
  return w.emit(
    'CumSum',
    [x, place],
    { dtype: x.dtype, shape: x.shape },
    {
      attributes: {
        exclusive: node.flag('exclusive') ? 1 : 0,
        reverse: node.flag('reverse') ? 1 : 0,
      },
    },
  )
}

/** The largest elements of the last axis, in order, and where they were. */
function largest(call: OperatorCall): readonly Term[] {
  const { w, x } = call
  const [k = 1] = integers(call, 1, 'counts')
  const shape = [...x.shape.slice(0, -1), k]
  const [values, places] = w.emitAll(
    'TopK',
    [x, [k]],
    [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ],
  )
  return [values!, cast(w, places!, 'int32')]
}

/** Operators that reduce an axis or run along it. */
export const reductionOperators: Readonly<Record<string, OperatorRule>> = {
  Mean: reduction('ReduceMean'),
  Sum: reduction('ReduceSum'),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  All: boolean('ReduceMin'),
  Any: boolean('ReduceMax'),
  ArgMax: extreme('ArgMax'),
  ArgMin: extreme('ArgMin'),
  Cumsum: cumulativeSum,
  TopKV2: largest,
}
