// A large matrix as a train of small cores: Novikov et al. 2015, by TT-SVD (Oseledets 2011).
import {
  type Dense,
  dense,
  energyOf,
  leadingBasis,
  product,
  singularValueDecomposition,
  transposed,
} from '../../../base/linear-algebra.ts'
import { type Builder, build } from '../../../onnx/build.ts'
import type { Graph, Node, Value } from '../../../onnx/graph.ts'
import { sizeOf } from '../../../onnx/tensor.ts'
import { type Factor, type Method, type Opened, type Ranks, tailOf, walkDown } from '../method.ts'
import { type LinearUnit, matrixOf } from '../units.ts'
import { significantRank } from '../vbmf.ts'

/**
 * The sides are written as products of two or three numbers, and W[(i₁i₂i₃),(j₁j₂j₃)] ≈ G₁[i₁,j₁] G₂[i₂,j₂] G₃[i₃,j₃]
 * with matrices G of the given rank at most; the layer becomes a chain of reshapes and products.
 */
export const tensorTrain: Method = {
  summary: 'large Gemm and MatMul: a chain of reshapes and small products',
  iterative: false,
  fitsOutputs: false,
  refuses(unit) {
    if (unit.kind !== 'linear') return 'it is for Gemm and MatMul'
    if (unit.input === 0) return 'its constant stands on the left'
    return factored(unit) === undefined
      ? `its sides, ${unit.inputs} and ${unit.outputs}, are not both products`
      : undefined
  },
  open(unit) {
    const sides = unit.kind === 'linear' && factored(unit)
    if (!sides || unit.kind !== 'linear') throw new Error('internal: no train for this layer')
    return openTrain(unit, sides)
  },
}

/** What both sides are products of: as many numbers each. */
interface Sides {
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
}

/** Splits both sides into three numbers, or two; undefined where one of them is prime. */
function factored({ inputs, outputs }: LinearUnit): Sides | undefined {
  for (const parts of [3, 2]) {
    const [one, two] = [evenly(inputs, parts), evenly(outputs, parts)]
    if (one && two) return { inputs: one, outputs: two }
  }
  return undefined
}

/** The numbers, 2 at least, whose product a size is and whose sum is least. */
function evenly(size: number, parts: number): number[] | undefined {
  if (parts === 1) return size > 1 ? [size] : undefined
  let best: number[] | undefined
  for (let first = 2; first * first <= size; first++) {
    const rest = size % first === 0 ? evenly(size / first, parts - 1) : undefined
    const found = rest && [first, ...rest]
    if (found && (!best || sum(found) < sum(best))) best = found
  }
  return best?.sort((one, other) => one - other)
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function openTrain(unit: LinearUnit, sides: Sides): Opened {
  const modes = sides.inputs.map((size, index) => size * sides.outputs[index]!)
  const whole = interleaved(matrixOf(unit).values, sides)
  const energy = energyOf(whole)
  // The matrix between what is before and what is behind each bond; its shorter side bounds the rank.
  const bonds = modes.slice(1).map((_, index) => {
    const rows = sizeOf(modes.slice(0, index + 1))
    const { singular } = singularValueDecomposition(dense(rows, whole.length / rows, whole))
    return { singular, rows, tails: tailOf(singular.map((value) => value ** 2)) }
  })
  const most = bonds.map(({ singular }) => singular.length)
  const full = [Math.max(...most)]
  const ranksOf = ([rank = 0]: Ranks): number[] => {
    const ranks = most.map((limit) => Math.min(limit, rank))
    // A bond can carry no more than what comes through the one before.
    for (let index = 1; index < ranks.length; index++)
      ranks[index] = Math.min(ranks[index]!, ranks[index - 1]! * modes[index]!)
    return ranks
  }
  const cost: Opened['cost'] = (ranks) => {
    const links = linksOf(sides, ranksOf(ranks))
    const parameters = links.reduce((total, { rows, columns }) => total + rows * columns, 0)
    const macs = links.reduce(
      (total, { rows, columns, times }) => total + rows * columns * times,
      0,
    )
    return { parameters, macs: unit.rows * macs }
  }
  // Errors of the bonds add up at most (Oseledets 2011, theorem 2.2).
  const error: Opened['error'] = (ranks) => {
    const kept = ranksOf(ranks)
    const lost = bonds.reduce((total, { tails }, index) => total + tails[kept[index]!]!, 0)
    return energy === 0 ? 0 : Math.min(1, lost / energy)
  }
  return {
    full,
    cost,
    error,
    ladder: () => walkDown({ full, cost, error }),
    significant: () => [
      Math.max(
        ...bonds.map(({ singular, rows }) => significantRank(singular, rows, whole.length / rows)),
      ),
    ],
    build(ranks) {
      const { cores, lost } = train(whole, modes, ranksOf(ranks))
      const factors = cores.map((core, index) =>
        coreFactor(core, index, sides, index === cores.length - 1),
      )
      return { factors, error: energy === 0 ? 0 : Math.max(0, lost / energy) }
    },
    write: (graph, node, factors) => writeTrain(unit, sides, graph, node, factors),
  }
}

/** The size of each product, and how often it is made for one row of x. */
function linksOf({ inputs, outputs }: Sides, ranks: readonly number[]) {
  return inputs.map((input, index) => ({
    rows: outputs[index]! * (ranks[index] ?? 1),
    columns: input * (ranks[index - 1] ?? 1),
    times: sizeOf(outputs.slice(0, index)) * sizeOf(inputs.slice(index + 1)),
  }))
}

/** From `[i₁ i₂ …, j₁ j₂ …]` to `[i₁ j₁, i₂ j₂, …]`. */
function interleaved(values: Float64Array, { inputs, outputs }: Sides): Float64Array {
  const columns = sizeOf(outputs)
  const result = new Float64Array(values.length)
  const place = inputs.flatMap(() => [0, 0])
  const sizes = inputs.flatMap((input, index) => [input, outputs[index]!])
  for (let at = 0; at < result.length; at++) {
    let [row, column] = [0, 0]
    for (let index = 0; index < inputs.length; index++) {
      row = row * inputs[index]! + place[2 * index]!
      column = column * outputs[index]! + place[2 * index + 1]!
    }
    result[at] = values[row * columns + column]!
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      place[axis]!++
      if (place[axis]! < sizes[axis]!) break
      place[axis] = 0
    }
  }
  return result
}

/** Cores `[rank before · mode, rank behind]` from left to right, each a basis of what comes next. */
function train(
  whole: Float64Array,
  modes: readonly number[],
  ranks: readonly number[],
): { readonly cores: readonly Dense[]; readonly lost: number } {
  const cores: Dense[] = []
  let rest = whole
  let before = 1
  let lost = 0
  for (const [index, rank] of ranks.entries()) {
    const rows = before * modes[index]!
    const matrix = dense(rows, rest.length / rows, rest)
    const basis = leadingBasis(matrix, rank)
    rest = product(transposed(basis), matrix).values
    lost += energyOf(matrix.values) - energyOf(rest)
    cores.push(basis)
    before = rank
  }
  cores.push(dense(before * modes.at(-1)!, 1, rest))
  return { cores, lost }
}

/** A core as its product takes it: `[output · behind, before · input]`, the last one the other way round. */
function coreFactor(core: Dense, index: number, sides: Sides, isLast: boolean): Factor {
  const [input, output] = [sides.inputs[index]!, sides.outputs[index]!]
  const behind = core.columns
  const suffix = `core${index + 1}`
  const columns = core.rows / output
  if (isLast) return { suffix, dims: [columns, output], values: core.values }
  const values = new Float64Array(core.values.length)
  for (let column = 0; column < columns; column++)
    for (let made = 0; made < output; made++)
      for (let next = 0; next < behind; next++)
        values[(made * behind + next) * columns + column] =
          core.values[(column * output + made) * behind + next]!
  if (columns % input !== 0) throw new Error('internal: a core does not fit its side')
  return { suffix, dims: [output * behind, columns], values }
}

/**
 * Writes the chain before a node and takes the node away. Each product takes in one part of the input and gives out
 * one of the output, in such an order that nothing has to be transposed in between.
 */
function writeTrain(
  { outputs }: LinearUnit,
  sides: Sides,
  graph: Graph,
  node: Node,
  cores: readonly Value[],
): void {
  const g = build(graph, node)
  const base = node.name || node.opType
  const step = (
    opType: string,
    inputs: Parameters<Builder['node']>[1],
    suffix: string,
    rest = {},
  ) => g.node(opType, inputs, { name: `${base}/${suffix}`, attributes: rest })[0]!
  const source = node.input(0)
  const data =
    node.number('transA', 0) === 1
      ? step('Transpose', [source], 'transposed', { perm: [1, 0] })
      : source
  let current = data
  for (const [index, core] of cores.entries()) {
    const isLast = index === cores.length - 1
    const width = core.tensor!.dims[isLast ? 0 : 1]!
    const behind = sizeOf(sides.inputs.slice(index + 1))
    const shape = isLast ? [-1, width] : [-1, width, behind]
    const folded = step('Reshape', [current, shape], `fold${index + 1}`)
    const inputs = isLast ? [folded, core] : [core, folded]
    current = step('MatMul', inputs, `core${index + 1}`)
  }
  const leading =
    node.opType === 'Gemm'
      ? [-1, outputs]
      : g.Concat(g.Slice(g.node('Shape', [data])[0]!, [0], [-1]), [outputs], { axis: 0 })
  current = step('Reshape', [current, leading], 'unfold')
  const [alpha, beta] = [node.number('alpha', 1), node.number('beta', 1)]
  const bias = node.opType === 'Gemm' ? node.inputs[2] : undefined
  if (alpha !== 1) current = step('Mul', [current, alpha], 'alpha')
  if (bias) {
    const scaled = beta === 1 ? bias : step('Mul', [bias, beta], 'beta')
    current = step('Add', [current, scaled], 'bias')
  }
  const { name } = node
  const output = node.output()
  const last = current.producer!
  graph.remove(node)
  last.setOutput(0, output)
  last.name = name
}
