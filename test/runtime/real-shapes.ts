// The shapes that are inferred for a real model are those that its values have when it runs.
import { expect } from '@jest/globals'
import { cloneModel } from '../../onnx/clone.ts'
import type { Model } from '../../onnx/graph.ts'
import { loadModel } from '../../onnx/load.ts'
import { withSession } from '../../runtime/session.ts'
import { fixDims, inferShapes } from '../../runtime/shapes.ts'
import { freeDims, sampleFeeds } from '../support/compare.ts'
import { sharedModel } from '../support/shared.ts'

/** Models that take long: only in the slow tests. */
export const large: ReadonlySet<string> = new Set([
  'light-densenet121.onnx',
  'light-resnet50.onnx',
  'silero-vad.onnx',
  'yolox-nano.onnx',
])

const needsBatch = (model: Model): boolean =>
  model.graph.feeds.some(
    (feed) => typeof feed.type?.shape?.[0] !== 'number' && feed.type?.shape?.length,
  )

/** Runs a real model with all of its values as outputs, and compares their types with the inferred ones. */
export async function expectShapes(file: string): Promise<void> {
  const model = await loadModel(sharedModel(file))
  const dims = freeDims[file]
  const options = { ...(needsBatch(model) && { batch: 1 }), ...(dims && { dims }) }
  const inferred = cloneModel(model)
  fixDims(inferred, options, file)
  const feeds = await withSession(model, {}, async (session) => sampleFeeds(session, file))
  await inferShapes(inferred, { sample: feeds, where: file })

  const watched = cloneModel(inferred)
  const made = watched.graph.nodes.flatMap((node) => node.outputs).filter((value) => !!value)
  watched.graph.outputs.splice(0, Number.POSITIVE_INFINITY, ...made)
  const results = await withSession(watched, { optimization: 'disabled' }, (session) =>
    session.run(feeds),
  )
  const actual = Object.entries(results).map(([name, { dtype, dims }]) => [name, dtype, dims])
  const stated = new Map(made.map(({ name, type }) => [name, type]))
  expect(
    actual.map(([name]) => [
      name,
      stated.get(String(name))?.dtype,
      stated.get(String(name))?.shape,
    ]),
  ).toEqual(actual)
}
