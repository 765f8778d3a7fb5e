// Our own engine: the gradients are written into the graph, and ONNX Runtime runs it.
import { openSession } from '../../runtime/session.ts'
import { loweringFor } from '../lowerings/choose.ts'
import { repeated } from '../repeat.ts'
import { updateGraph, wholeGraph } from '../training-graph.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** Runs on any provider of ONNX Runtime. */
export const onnx: Engine = {
  async step(definition, tail, options) {
    const lowering = await loweringFor(options.provider, options.log)
    const graph = await wholeGraph(definition, tail, lowering)
    const { prepare, dispose } = await openSession(graph.model, sessionOptions(options))
    return {
      ...{ graph, prepare, dispose },
      repeated: (count) => openSession(repeated(graph, count), sessionOptions(options)),
    }
  },
  async update(definition, options) {
    const graph = await updateGraph(definition)
    const { prepare, dispose } = await openSession(graph.model, sessionOptions(options))
    return { graph, prepare, dispose }
  },
}

const sessionOptions = ({ provider, threads, sharesCores }: EngineOptions) => ({
  provider,
  threads,
  spinning: !sharesCores,
  where: 'training step',
})
