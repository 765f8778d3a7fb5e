// A check on our own engine: TensorFlow.js computes the forward pass and differentiates it by itself.
import { UserError } from '../../base/errors.ts'
import { splitGraph, updateGraph } from '../training-graph.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { openTfjsGraph, openTfjsTraining } from './tfjs/training.ts'

/** Runs on the native library of TensorFlow where it is installed, else in JavaScript; knows no providers. */
export const tfjs: Engine = {
  async step(definition, tail, options) {
    const { where = 'training' } = definition.forward
    if (options.provider !== 'cpu')
      throw new UserError(
        `${where}: engine 'tfjs' runs on the CPU alone: provider '${options.provider}' — leave the provider out, or use engine 'onnx'`,
      )
    const graph = await splitGraph(definition, tail)
    const { prepare, dispose } = await openTfjsTraining(
      graph.forward,
      graph.tail,
      tfjsOptions(options),
    )
    return { graph, prepare, dispose }
  },
  async update(definition) {
    const graph = await updateGraph(definition)
    const { prepare, dispose } = await openTfjsGraph(graph.model, { where: 'training step' })
    return { graph, prepare, dispose }
  },
}

const tfjsOptions = ({ log }: EngineOptions) => ({ log, where: 'training step' })
