// A model of TensorFlow.js as ONNX: a layers model or a graph model, with its inputs and outputs as they are there.
import { newModel } from '../../onnx/build.ts'
import type { Graph, Model } from '../../onnx/graph.ts'
import { mergeCommonSubexpressions } from '../../onnx/passes/common-subexpressions.ts'
import { removeDeadNodes } from '../../onnx/passes/dead-nodes.ts'
import { removeIdentities } from '../../onnx/passes/identity.ts'
import { moveTransposesIntoWeights } from '../../onnx/passes/transposed-weights.ts'
import { cancelTransposes } from '../../onnx/passes/transposes.ts'
import { foldConstants } from '../../runtime/fold.ts'
import { writeGraphModel } from './graph/model.ts'
import { writeLayersModel } from './layers/model.ts'
import { readModelFile } from './model-file.ts'
import { readWeights } from './weights.ts'
import { writerOf } from './writer.ts'

/**
 * Converts a model.json with its shards.
 *
 * Inputs keep their names, dtypes and layout (images are `[N, height, width, C]`), outputs their names; the batch is
 * symbolic where TensorFlow.js leaves it open. Opset 21, float32. What is not converted is a `UserError` that names it.
 */
export async function convertTfjs(path: string): Promise<Model> {
  const file = readModelFile(path)
  const weights = readWeights(path, file)
  const { model, g } = newModel('tfjs')
  const writer = writerOf(g, path)
  if (file.format === 'graph-model' || Object.hasOwn(file.modelTopology, 'node'))
    writeGraphModel(writer, file, weights)
  else writeLayersModel(writer, file, weights)
  removeDeadNodes(g.graph)
  await foldConstants(model, path)
  while (cancelTransposes(g.graph)) removeDeadNodes(g.graph)
  moveTransposesIntoWeights(g.graph)
  removeDeadNodes(g.graph)
  removeIdentities(model)
  mergeCommonSubexpressions(g.graph)
  removeDeadNodes(g.graph)
  forgetTypes(g.graph)
  return model
}

/** What ONNX Runtime infers by itself need not stand in the file. */
function forgetTypes(graph: Graph): void {
  for (const node of graph.nodes)
    for (const output of node.outputs)
      if (output && !graph.outputs.includes(output)) output.type = undefined
}
