// A convolution as a chain of smaller ones. A method only has to factorise the weights of one group, and to say what
// the links of the chain look like; strides, pads and groups are the same for all methods.
import { attributeOf } from '../../onnx/build.ts'
import { type Graph, Node, Value } from '../../onnx/graph.ts'
import { sizeOf } from '../../onnx/tensor.ts'
import {
  type Cost,
  coarse,
  type Evidence,
  type Factor,
  type Method,
  type Moments,
  type Opened,
  type Ranks,
  walkDown,
} from './method.ts'
import { type ConvUnit, groupWeights } from './units.ts'

/** The weights of one group. */
export interface GroupTensor {
  readonly outputs: number
  readonly inputs: number
  readonly kernel: readonly number[]
  /** `[outputs, inputs, …kernel]`. */
  readonly values: Float64Array
}

/** One convolution of a chain, for one group. */
export interface Link {
  readonly suffix: string
  readonly outputs: number
  readonly inputs: number
  /** The kernel along the axes that the link works on; 1 elsewhere. */
  readonly kernel: readonly number[]
  /** The axes that it takes over from the old kernel, with their strides, pads and dilations. */
  readonly axes: readonly boolean[]
  /** Whether each of its channels has its own kernel. */
  readonly depthwise?: boolean
}

/** The weights of one group, opened. */
export interface OpenedGroup {
  readonly full: Ranks
  /** The squares that errors are a share of: those of the weights, or of the outputs where these are to be kept. */
  readonly energy: number
  /** The squared error at these ranks, at most. */
  error(ranks: Ranks): number
  /** The weights of the links in their order, the squared error that they really have, and what the bias gains. */
  build(ranks: Ranks): {
    readonly weights: readonly ArrayLike<number>[]
    readonly error: number
    readonly shift?: ArrayLike<number> | undefined
  }
  significant?(): Ranks
}

/** What makes a method for convolutions. */
export interface ConvScheme {
  readonly summary: string
  readonly iterative?: boolean
  readonly fitsOutputs?: boolean
  /** Why it does not go with a convolution; undefined where it does. */
  refuses(unit: ConvUnit): string | undefined
  links(unit: Pick<ConvUnit, 'outputs' | 'inputs' | 'kernel'>, ranks: Ranks): readonly Link[]
  /** `outputs` is known of the group's outputs, where those are to be kept. */
  open(tensor: GroupTensor, evidence: Evidence, outputs?: Moments): OpenedGroup
}

/** Makes a method of what is particular about it. */
export const convMethod = (scheme: ConvScheme): Method => ({
  summary: scheme.summary,
  iterative: scheme.iterative ?? false,
  fitsOutputs: scheme.fitsOutputs ?? false,
  refuses: (unit) => (unit.kind === 'conv' ? scheme.refuses(unit) : 'it is for Conv'),
  open(unit, evidence) {
    if (unit.kind !== 'conv') throw new Error('internal: a method for Conv was given another layer')
    return openGroups(scheme, unit, evidence)
  },
})

function openGroups(scheme: ConvScheme, unit: ConvUnit, evidence: Evidence): Opened {
  const { groups, outputs, inputs, kernel } = unit
  const tensors = Array.from({ length: groups }, (_, group) => groupWeights(unit, group))
  const opened = tensors.map((values, group) =>
    scheme.open({ outputs, inputs, kernel, values }, evidence, evidence.outputs?.[group]),
  )
  const energy = opened.reduce((sum, group) => sum + group.energy, 0)
  const share = (errors: readonly number[]) =>
    energy === 0 ? 0 : Math.max(0, errors.reduce((sum, error) => sum + error, 0) / energy)
  const full = opened[0]!.full
  const cost = (ranks: Ranks) => chainCost(unit, scheme.links(unit, ranks))
  const error = (ranks: Ranks) => share(opened.map((group) => group.error(ranks)))
  const each = opened.map((group) => group.significant)
  return {
    full,
    cost,
    error,
    ladder: () =>
      scheme.iterative ? coarse(affordable(full[0]!, cost, unit)) : walkDown({ full, cost, error }),
    ...(each.every((significant) => significant !== undefined) && {
      // Groups must agree on their ranks: the largest loses in none of them.
      significant: () =>
        each
          .map((significant) => significant())
          .reduce((one, other) => one.map((rank, index) => Math.max(rank, other[index]!))),
    }),
    build(ranks) {
      const built = opened.map((group) => group.build(ranks))
      const factors = scheme.links(unit, ranks).map((link, index): Factor => {
        const dims = weightDims(link)
        const values = new Float32Array(groups * sizeOf(dims))
        for (const [group, { weights }] of built.entries())
          values.set(weights[index]!, group * sizeOf(dims))
        return { suffix: link.suffix, dims: [groups * dims[0]!, ...dims.slice(1)], values }
      })
      const shifts = built.flatMap(({ shift }) => (shift ? Array.from(shift) : []))
      return {
        factors,
        error: share(built.map((group) => group.error)),
        ...(shifts.length > 0 && { shift: shifts }),
      }
    },
    write(graph, node, factors) {
      writeChain(graph, node, linksFor(scheme, unit, factors), groups, factors)
    },
  }
}

/** The ranks are told by the weights: links differ in nothing else. */
function linksFor(scheme: ConvScheme, unit: ConvUnit, factors: readonly Value[]): readonly Link[] {
  return scheme.links(unit, [1, 1]).map((link, index) => {
    const [all = 0] = factors[index]!.tensor!.dims
    return { ...link, outputs: all / unit.groups }
  })
}

/** The largest rank at which the chain costs no more than the convolution. */
function affordable(full: number, cost: (ranks: Ranks) => Cost, unit: ConvUnit): number {
  const one = cost([1])
  const rank = Math.min(unit.macs / one.macs, unit.parameters / one.parameters)
  return Math.max(1, Math.min(full, Math.floor(rank)))
}

/** `[outputs, inputs, …kernel]` of one group as the file has it. */
const weightDims = ({ outputs, inputs, kernel, depthwise }: Link): number[] => [
  outputs,
  depthwise ? 1 : inputs,
  ...kernel,
]

function chainCost({ groups, places }: ConvUnit, links: readonly Link[]): Cost {
  const done = links[0]!.axes.map(() => false)
  let [macs, parameters] = [0, 0]
  for (const link of links) {
    for (const [axis, works] of link.axes.entries()) done[axis] ||= works
    const size = groups * sizeOf(weightDims(link))
    parameters += size
    for (const { input, output } of places)
      macs += size * sizeOf(done.map((isDone, axis) => (isDone ? output : input)[axis]!))
  }
  return { macs, parameters }
}

/** Puts the links of a chain before a node, which becomes the last of them and keeps its bias. */
function writeChain(
  graph: Graph,
  node: Node,
  links: readonly Link[],
  groups: number,
  weights: readonly Value[],
): void {
  let data = node.input(0)
  for (const [index, link] of links.entries()) {
    const attributes = linkAttributes(node, link, groups)
    if (index < links.length - 1) {
      const name = graph.uniqueName(`${node.name || node.opType}/${link.suffix}`)
      const output = new Value(graph.uniqueName(`${name}_output`))
      graph.add(new Node('Conv', [data, weights[index]], [output], { name, attributes }), node)
      data = output
      continue
    }
    node.setInput(0, data)
    node.setInput(1, weights[index])
    node.attributes.clear()
    for (const [key, attribute] of attributes) node.attributes.set(key, attribute)
  }
}

/** What a link has of the old convolution: strides, pads and dilations along its own axes. */
function linkAttributes(node: Node, { outputs, kernel, axes, depthwise }: Link, groups: number) {
  const rank = kernel.length
  const along = (values: readonly number[] | undefined, otherwise: number) =>
    axes.map((works, axis) => (works ? (values?.[axis] ?? otherwise) : otherwise))
  const pads = node.numbers('pads')
  const automatic = node.string('auto_pad', 'NOTSET')
  const isAutomatic = automatic !== 'NOTSET' && axes.some(Boolean)
  const attributes = {
    group: depthwise ? groups * outputs : groups,
    kernel_shape: kernel,
    strides: along(node.numbers('strides'), 1),
    dilations: along(node.numbers('dilations'), 1),
    ...(isAutomatic
      ? { auto_pad: automatic }
      : { pads: [...along(pads, 0), ...along(pads?.slice(rank), 0)] }),
  }
  return Object.entries(attributes).map(([key, value]) => [key, attributeOf(key, value)] as const)
}
