// A graph as text, one line a value, for people and for snapshots in tests.
import type { Attribute, Graph, Node, Value, ValueType } from './graph.ts'
import { numbers, numberTypes, type Tensor } from './tensor.ts'

/** Tensors of up to this many elements are printed with their content. */
const largestShown = 8

/**
 * Prints a graph: inputs, initializers and outputs with their types, nodes as `y = Conv[strides=[1,1]](x, w)`,
 * subgraphs indented below their node.
 *
 * The text depends on the graph alone; large contents are left out, and it is not meant to be read back.
 */
export function printGraph(graph: Graph): string {
  return `${lines(graph).join('\n')}\n`
}

function lines(graph: Graph): string[] {
  const listed = new Set(graph.inputs)
  return [
    `graph ${label(graph.name)}`,
    ...graph.inputs.map(
      (input) => `  input ${label(input.name)}: ${typeText(input.type)}${defaultText(input)}`,
    ),
    ...[...graph.initializers]
      .filter((value) => !listed.has(value))
      .map(
        (value) =>
          `  initializer ${label(value.name)}: ${value.tensor ? tensorText(value.tensor) : '?'}`,
      ),
    ...graph.nodes.flatMap((node) => nodeLines(node).map((line) => `  ${line}`)),
    ...graph.outputs.map((output) => `  output ${label(output.name)}: ${typeText(output.type)}`),
  ]
}

const defaultText = ({ tensor }: Value): string => (tensor ? ` = ${contentText(tensor)}` : '')

function nodeLines(node: Node): string[] {
  const plain: string[] = []
  const nested: string[] = []
  // Sorted: the order of attributes means nothing.
  for (const [name, attribute] of [...node.attributes].sort(([a], [b]) => (a < b ? -1 : 1)))
    if (attribute.type === 'graph' || attribute.type === 'graphs') {
      const graphs = attribute.type === 'graph' ? [attribute.value] : attribute.value
      for (const graph of graphs)
        nested.push(
          ...lines(graph).map((line, index) => (index === 0 ? `  ${name}: ${line}` : `  ${line}`)),
        )
    } else plain.push(`${name}=${attributeText(attribute)}`)
  const outputs = node.outputs.map(valueLabel).join(', ')
  const domain = node.domain === '' ? '' : `${node.domain}.`
  const attributes = plain.length > 0 ? `[${plain.join(', ')}]` : ''
  const inputs = node.inputs.map(valueLabel).join(', ')
  return [`${outputs} = ${domain}${node.opType}${attributes}(${inputs})`, ...nested]
}

const valueLabel = (value: Value | undefined): string => (value ? label(value.name) : '_')

/** Names as they are where they cannot be mistaken (`_` is an omitted value), otherwise in quotes. */
const label = (name: string): string =>
  /^[^\s\p{C},()[\]="']+$/u.test(name) && name !== '_' ? name : JSON.stringify(name)

function typeText(type: ValueType | undefined): string {
  if (!type) return '?'
  return type.shape ? `${type.dtype}[${type.shape.map((dim) => dim ?? '?').join(',')}]` : type.dtype
}

function tensorText(tensor: Tensor): string {
  const type = `${tensor.dtype}[${tensor.dims.join(',')}]`
  return tensor.size > largestShown ? type : `${type} = ${contentText(tensor)}`
}

function contentText(tensor: Tensor): string {
  if (tensor.size > largestShown) return '...'
  const elements = tensor.strings
    ? tensor.strings.map((bytes) => JSON.stringify(new TextDecoder().decode(bytes)))
    : numberTypes.has(tensor.dtype)
      ? numbers(tensor).map(numberText)
      : [...tensor.bytes].map((byte) => byte.toString(16).padStart(2, '0'))
  return tensor.dims.length === 0 ? elements.join(' ') : `[${elements.join(',')}]`
}

/** Six digits: enough to tell values apart, few enough to read. */
const numberText = (value: number): string =>
  String(Number.isInteger(value) ? value : Number(value.toPrecision(6)))

function attributeText(attribute: Attribute): string {
  switch (attribute.type) {
    case 'float':
    case 'int':
      return numberText(attribute.value)
    case 'string':
      return JSON.stringify(attribute.value)
    case 'floats':
    case 'ints':
      return listText(attribute.value.map(numberText))
    case 'strings':
      return listText(attribute.value.map((text) => JSON.stringify(text)))
    case 'tensor':
      return tensorText(attribute.value)
    default:
      return '...'
  }
}

const listText = (items: readonly string[]): string =>
  items.length > 2 * largestShown
    ? `[${items.slice(0, largestShown).join(',')},...]`
    : `[${items.join(',')}]`
