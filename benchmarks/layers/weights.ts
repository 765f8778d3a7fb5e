// What the weights of layers take: bytes, bits each, and how many of them are zero.

import { constantOf, type Model, type Node } from '../../onnx/graph.ts'
import { storedBytes } from '../../onnx/packed.ts'
import { type Parameters, parametersIn, parametersOf } from '../../onnx/parameters.ts'
import type { Tensor } from '../../onnx/tensor.ts'

/** The weights of some nodes. */
export interface Weights {
  /** All constants that the nodes read, as they lie in the file: scales, zero points and tables too. */
  readonly weightBytes: number
  /** Numbers in the weights. */
  readonly parameters: number
  /** Bits that the file spends on each number of the largest weight; null where there is none. */
  readonly bits: number | null
  /** The share of the weights that are zero; null where there are none. */
  readonly sparsity: number | null
}

/** Gives what the weights of nodes take; a constant of several nodes counts where it was asked for first. */
export function weightsOf(model: Model): (nodes: readonly Node[]) => Weights {
  const byNode = new Map<Node, Parameters[]>()
  for (const found of parametersOf(model)) {
    const own = byNode.get(found.node)
    if (own) own.push(found)
    else byNode.set(found.node, [found])
  }
  const counted = new Set<Tensor>()
  return (nodes) => {
    let weightBytes = 0
    for (const node of nodes)
      for (const input of node.inputs) {
        const tensor = constantOf(input)
        if (!tensor || counted.has(tensor)) continue
        counted.add(tensor)
        weightBytes += storedBytes(tensor)
      }
    const weights = nodes.flatMap((node) => byNode.get(node) ?? [])
    let [parameters, nonzero, largest, bits] = [0, 0, 0, 0]
    for (const weight of weights) {
      const own = parametersIn(weight)
      parameters += own.parameters
      nonzero += own.nonzero
      if (own.parameters <= largest) continue
      largest = own.parameters
      bits = (8 * storedBytes(weight.tensor)) / own.parameters
    }
    return {
      weightBytes,
      parameters,
      bits: largest > 0 ? bits : null,
      sparsity: parameters > 0 ? 1 - nonzero / parameters : null,
    }
  }
}
