// Operators that work element by element.
import { activations } from '../activations.ts'
import { binary, clip, compare, unary } from '../arithmetic.ts'
import { cast } from '../arrange.ts'
import { broadcastShape, type Term } from '../term.ts'
import { scalar, type Writer } from '../writer.ts'
import { combined, withContent } from './content.ts'
import { integers, type OperatorCall, type OperatorRule, refused } from './node.ts'

const one =
  (opType: string): OperatorRule =>
  ({ w, x }) =>
    unary(w, opType, x)

const two =
  (opType: string): OperatorRule =>
  ({ w, node, x, input }) => {
    const made = binary(w, opType, x, input(1))
    return withContent(w, made, combined(node.op, x, input(1)))
  }

const comparison =
  (opType: string): OperatorRule =>
  ({ w, x, input }) =>
    compare(w, opType, x, input(1))

const named =
  (name: string): OperatorRule =>
  ({ w, x }) =>
    activations.get(name)!(w, x)

/** TensorFlow.js divides integers downwards in `FloorDiv` and cuts them in the others; ONNX cuts them. */
function floorDivision({ w, x, input, node }: OperatorCall): Term {
  const [a, b] = [x, input(1)]
  const [left, right] = [cast(w, a, 'float32'), cast(w, b, 'float32')]
  const down = unary(w, 'Floor', binary(w, 'Div', left, right))
  return withContent(w, cast(w, down, a.dtype as 'float32' | 'int32'), combined(node.op, a, b))
}

/** Picks from two by a condition; one of rank 1 picks rows where `rows` is set. */
function select(call: OperatorCall, rows: boolean): Term {
  const { w, x, input } = call
  const [yes, no] = [input(1), input(2)]
  if (rows && x.shape.length === 1 && yes.shape.length > 1)
    throw refused(call, 'a choice of whole rows', 'use SelectV2 (tf.where)')
  const shape = broadcastShape(x.shape, yes.shape, no.shape)
  return w.emit('Where', [x, yes, no], { dtype: yes.dtype, shape })
}

/** Numbers that are constants of the graph, such as the limits of a clip. */
function limit(w: Writer, x: Term, bound: Term, opType: 'Max' | 'Min'): Term {
  return binary(w, opType, x, cast(w, bound, x.dtype as 'float32' | 'int32'))
}

/** Slope by channel or element; TensorFlow.js broadcasts it. */
export const prelu = (w: Writer, x: Term, slope: Term): Term =>
  w.emit('PRelu', [x, slope], { dtype: x.dtype, shape: x.shape })

/** Operators that work element by element. */
export const elementwiseOperators: Readonly<Record<string, OperatorRule>> = {
  Add: two('Add'),
  AddV2: two('Add'),
  AddN: ({ w, inputs }) => inputs.reduce((sum, input) => binary(w, 'Add', sum, input)),
  Sub: two('Sub'),
  Mul: two('Mul'),
  RealDiv: two('Div'),
  Div: two('Div'),
  DivNoNan({ w, x, input }) {
    const zero = compare(w, 'Equal', input(1), scalar(w, input(1), 0))
    const quotient = binary(w, 'Div', x, input(1))
    const { dtype, shape } = quotient
    return w.emit('Where', [zero, scalar(w, x, 0), quotient], { dtype, shape })
  },
  FloorDiv: floorDivision,
  FloorMod: ({ w, x, input }) => {
    if (x.dtype === 'int32') return binary(w, 'Mod', x, input(1))
    const quotient = unary(w, 'Floor', binary(w, 'Div', x, input(1)))
    return binary(w, 'Sub', x, binary(w, 'Mul', quotient, input(1)))
  },
  Maximum: two('Max'),
  Minimum: two('Min'),
  Pow: two('Pow'),
  SquaredDifference({ w, x, input }) {
    const apart = binary(w, 'Sub', x, input(1))
    return binary(w, 'Mul', apart, apart)
  },
  BiasAdd(call) {
    const { w, node, x, input } = call
    if (node.text('data_format', 'NHWC') !== 'NHWC' && x.shape.length > 2)
      throw refused(call, 'channels first', 'convert the model with channels last')
    return binary(w, 'Add', x, input(1))
  },
  Relu: one('Relu'),
  Relu6: ({ w, x }) => clip(w, x, 0, 6),
  Elu: one('Elu'),
  Selu: one('Selu'),
  LeakyRelu: ({ w, node, x }) => unary(w, 'LeakyRelu', x, { alpha: node.number('alpha', 0.2) }),
  Prelu: ({ w, x, input }) => prelu(w, x, input(1)),
  Sigmoid: one('Sigmoid'),
  Tanh: one('Tanh'),
  Softplus: one('Softplus'),
  Softmax: named('softmax'),
  LogSoftmax: named('log_softmax'),
  Exp: one('Exp'),
  Expm1: ({ w, x }) => binary(w, 'Sub', unary(w, 'Exp', x), 1),
  Log: one('Log'),
  Log1p: ({ w, x }) => unary(w, 'Log', binary(w, 'Add', x, 1)),
  Sqrt: one('Sqrt'),
  Rsqrt: ({ w, x }) => unary(w, 'Reciprocal', unary(w, 'Sqrt', x)),
  Square: ({ w, x }) => binary(w, 'Mul', x, x),
  Abs: one('Abs'),
  Neg: one('Neg'),
  Floor: one('Floor'),
  Ceil: one('Ceil'),
  Round: one('Round'),
  Sign: one('Sign'),
  Sin: one('Sin'),
  Cos: one('Cos'),
  Tan: one('Tan'),
  Reciprocal: one('Reciprocal'),
  Erf: one('Erf'),
  Sinh: one('Sinh'),
  Cosh: one('Cosh'),
  Asin: one('Asin'),
  Acos: one('Acos'),
  Atan: one('Atan'),
  Asinh: one('Asinh'),
  Acosh: one('Acosh'),
  Atanh: one('Atanh'),
  IsNan: ({ w, x }) => w.emit('IsNaN', [x], { dtype: 'bool', shape: x.shape }),
  ClipByValue: ({ w, x, input }) => limit(w, limit(w, x, input(1), 'Max'), input(2), 'Min'),
  Equal: comparison('Equal'),
  NotEqual: (call) => unary(call.w, 'Not', compare(call.w, 'Equal', call.x, call.input(1))),
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  LogicalAnd: comparison('And'),
  LogicalOr: comparison('Or'),
  LogicalNot: one('Not'),
  Select: (call) => select(call, true),
  SelectV2: (call) => select(call, false),
  ZerosLike: (call) => like(call, 0),
  OnesLike: (call) => like(call, 1),
  Cast(call) {
    const { w, node, x } = call
    const dtype = node.type('DstT')
    if (!dtype) throw refused(call, 'a cast to that type', 'use numbers or bool')
    const made = cast(w, x, dtype)
    return withContent(w, made, dtype === 'int32' ? x.content : undefined)
  },
  OneHot(call) {
    const { w, node, x, input } = call
    const [depth = 0] = integers(call, 1, 'depths')
    const axis = node.number('axis', -1)
    const shape = [...x.shape]
    shape.splice(axis < 0 ? shape.length : axis, 0, depth)
    const [on, off] = [input(2), input(3)]
    // ONNX wants both values in one tensor, off first.
    const values = w.emit(
      'Concat',
      [flat(w, off), flat(w, on)],
      { dtype: on.dtype, shape: [2] },
      {
        attributes: { axis: 0 },
      },
    )
    return w.emit(
      'OneHot',
      [cast(w, x, 'int64'), [depth], values],
      { dtype: on.dtype, shape },
      {
        attributes: { axis },
      },
    )
  },
}

/** A tensor of one number in the shape of the input. */
function like({ w, x }: OperatorCall, number: number): Term {
  const sizes = w.emit('Shape', [x], { dtype: 'int64', shape: [x.shape.length] })
  return w.emit('Expand', [scalar(w, x, number), sizes], { dtype: x.dtype, shape: x.shape })
}

const flat = (w: Writer, x: Term): Term =>
  w.emit('Reshape', [x, [1]], { dtype: x.dtype, shape: [1] })
