// Our own engine: the gradients are written into the graph, and ONNX Runtime runs it.
import { messageOf } from '../../base/errors.ts'
import { openSession } from '../../runtime/session.ts'
import { loweringFor } from '../lowerings/choose.ts'
import { standard } from '../lowerings/standard.ts'
import { repeated } from '../repeat.ts'
import { type Definition, type Tail, updateGraph, wholeGraph } from '../training-graph.ts'
import type { Engine, EngineOptions } from './engine.ts'

/** Runs on any provider of ONNX Runtime. */
export const onnx: Engine = {
  async step(definition, tail, options) {
    const { graph, session } = await openWhole(definition, tail, options)
    const { prepare, dispose } = session
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

/** Opens a step in the fastest form that this machine takes. */
async function openWhole(definition: Definition, tail: Tail, options: EngineOptions) {
  const lowering = await loweringFor(options.provider, options.log)
  const graph = await wholeGraph(definition, tail, lowering)
  try {
    return { graph, session: await openSession(graph.model, sessionOptions(options)) }
  } catch (thrown) {
    if (lowering === standard) throw thrown
    options.log(`this model trains the standard way: ${messageOf(thrown)}`)
    const plain = await wholeGraph(definition, tail, standard)
    return { graph: plain, session: await openSession(plain.model, sessionOptions(options)) }
  }
}

const sessionOptions = ({ provider, threads, sharesCores }: EngineOptions) => ({
  provider,
  threads,
  spinning: !sharesCores,
  where: 'training step',
})
