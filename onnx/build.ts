// Writing graphs as expressions: `g.Relu(g.Add(x, y))`. Numbers become float32 scalars and lists of numbers int64
// vectors, each stored once a graph, so that formulas read as on paper.
import { type Attribute, Graph, type Model, Node, Value, type ValueType } from './graph.ts'
import { Tensor, tensorOf } from './tensor.ts'

/** An input of an operation: a value, a constant, or `undefined` for an optional input left out. */
export type Operand = Value | Tensor | number | readonly number[] | undefined

/** Attributes by name, with plain JavaScript values. */
export interface Attributes {
  readonly [name: string]: number | string | readonly number[] | readonly string[] | Tensor | Graph
}

/** Operators that can be written as `g.Operator(...)`: those with one output of interest. */
// biome-ignore format: a list
export const operators = [
  'Abs', 'Add', 'AveragePool', 'BatchNormalization', 'Cast', 'Clip', 'Concat', 'Conv', 'ConvTranspose', 'Cos',
  'Cosh', 'CumSum', 'DepthToSpace', 'DequantizeLinear', 'Div', 'Dropout', 'Einsum', 'Elu', 'Equal', 'Erf', 'Exp',
  'Expand', 'Flatten', 'Floor', 'Gather', 'GatherElements', 'GatherND', 'Gemm', 'GlobalAveragePool', 'Greater',
  'GreaterOrEqual', 'HardSigmoid', 'HardSwish', 'Identity', 'LayerNormalization', 'LeakyRelu', 'Less', 'Log',
  'LogSoftmax', 'MatMul', 'Max', 'MaxPool', 'Min', 'Mod', 'Mul', 'Neg', 'OneHot', 'PRelu', 'Pad', 'Pow',
  'QuantizeLinear', 'Reciprocal', 'ReduceL1', 'ReduceL2', 'ReduceLogSumExp', 'ReduceMax', 'ReduceMean', 'ReduceMin',
  'ReduceProd', 'ReduceSum', 'Relu', 'Reshape', 'Resize', 'ReverseSequence', 'Round', 'ScatterElements',
  'ScatterND', 'Shape', 'Sigmoid', 'Sin', 'Sinh', 'Slice', 'Softmax', 'Softplus', 'SpaceToDepth', 'Sqrt', 'Squeeze',
  'Sub', 'Sum', 'Tanh', 'Transpose', 'Trilu', 'Unsqueeze', 'Where',
] as const

/** Appends one node and gives its first output; the last argument may be attributes. */
export type Operation = (...args: readonly (Operand | Attributes)[]) => Value

/** What writes into one graph. */
export type Builder = { readonly [Operator in (typeof operators)[number]]: Operation } & {
  readonly graph: Graph
  /** Appends any node with any number of outputs. */
  node(
    opType: string,
    inputs: readonly Operand[],
    options?: {
      readonly attributes?: Attributes
      readonly outputs?: number
      readonly domain?: string
      readonly name?: string
      /** A node that goes for this one, which has its name then. */
      readonly inPlaceOf?: Node
    },
  ): Value[]
  /** A constant as a value; equal numbers and lists share one initializer. */
  constant(operand: Exclude<Operand, undefined>, name?: string): Value
  /** Adds a graph input. */
  input(name: string, type: ValueType): Value
  /** Makes a value a graph output under exactly this name, which must be free. */
  output(name: string, value: Value, type?: ValueType): Value
}

/** Attributes that are floats in every operator that has them; other plain numbers are ints. */
const floatAttributes: ReadonlySet<string> = new Set([
  'activation_alpha',
  'activation_beta',
  'alpha',
  'beta',
  'clip',
  'gamma',
  'epsilon',
  'momentum',
  'ratio',
  'softcap',
  'scale',
  'bias',
  'lambd',
  'value_float',
  'value_floats',
  'cubic_coeff_a',
  'extrapolation_value',
])

/** Writes nodes at the end of a graph, or before one of its nodes. */
export function build(graph: Graph, before?: Node): Builder {
  const shared = new Map<string, Value>()

  function constant(operand: Exclude<Operand, undefined>, name = 'constant'): Value {
    if (operand instanceof Value) return operand
    if (operand instanceof Tensor) return graph.addInitializer(name, operand)
    const key = JSON.stringify([operand, Object.is(operand, -0)])
    const found = shared.get(key)
    if (found) return found
    const tensor =
      typeof operand === 'number'
        ? tensorOf('float32', [], [operand])
        : tensorOf('int64', [operand.length], operand)
    const value = graph.addInitializer(name, tensor)
    shared.set(key, value)
    return value
  }

  const node: Builder['node'] = (opType, inputs, options = {}) => {
    const name = options.inPlaceOf?.name || graph.uniqueName(options.name ?? opType)
    const values = inputs.map((input) => (input === undefined ? undefined : constant(input)))
    // ONNX Runtime's fusions crash on a LayerNormalization whose last input is left out by an empty name.
    while (values.length > 0 && values.at(-1) === undefined) values.pop()
    const count = options.outputs ?? 1
    const outputs = Array.from(
      { length: count },
      (_, index) =>
        new Value(graph.uniqueName(index === 0 ? `${name}_output` : `${name}_output${index}`)),
    )
    const attributes = Object.entries(options.attributes ?? {}).map(
      ([key, value]) => [key, attributeOf(key, value)] as const,
    )
    graph.add(
      new Node(opType, values, outputs, { name, domain: options.domain ?? '', attributes }),
      before,
    )
    return outputs
  }

  const operation =
    (opType: string): Operation =>
    (...args) => {
      const last = args.at(-1)
      const attributes = isAttributes(last) ? last : {}
      const inputs = (isAttributes(last) ? args.slice(0, -1) : args) as readonly Operand[]
      return node(opType, inputs, { attributes })[0]!
    }

  const operations = Object.fromEntries(operators.map((opType) => [opType, operation(opType)]))
  return {
    // Every operator of the list is there, which fromEntries cannot tell the compiler.
    ...(operations as { [Operator in (typeof operators)[number]]: Operation }),
    graph,
    node,
    constant,
    input: (name, type) => graph.addInput(name, type),
    output(name, value, type) {
      const unique = graph.uniqueName(name)
      if (unique !== name) throw new Error(`internal: the name '${name}' is taken`)
      // A value that is an output already, or that no node makes, cannot take the name itself.
      const output =
        value.producer && !graph.outputs.includes(value) ? value : operations.Identity!(value)
      output.name = name
      if (type) output.type = type
      graph.outputs.push(output)
      return output
    },
  }
}

/** An empty model of an opset (21 unless told), with a builder for its graph. */
export function newModel(name: string, opset = 21): { model: Model; g: Builder } {
  const graph = new Graph(name)
  // IR version 10 goes with opset 21; readers since ONNX 1.16 know it.
  const irVersion = opset > 20 ? 10 : 8
  const model: Model = {
    graph,
    opsets: new Map([['', opset]]),
    irVersion,
    metadata: new Map(),
    extra: undefined,
  }
  return { model, g: build(graph) }
}

/** The typed attribute of a plain JavaScript value, floats told from ints by the attribute's name. */
export function attributeOf(name: string, value: Attributes[string]): Attribute {
  if (value instanceof Tensor) return { type: 'tensor', value }
  if (value instanceof Graph) return { type: 'graph', value }
  if (typeof value === 'string') return { type: 'string', value }
  const float = floatAttributes.has(name)
  if (typeof value === 'number') return { type: float ? 'float' : 'int', value }
  if (value.some((item) => typeof item === 'string'))
    return { type: 'strings', value: value as readonly string[] }
  return { type: float ? 'floats' : 'ints', value: value as readonly number[] }
}

function isAttributes(argument: Operand | Attributes | undefined): argument is Attributes {
  return (
    typeof argument === 'object' &&
    !(argument instanceof Value) &&
    !(argument instanceof Tensor) &&
    !Array.isArray(argument)
  )
}
