// What narrower copies of real models must be; those that take long are in the slow tests.
import { expect } from '@jest/globals'
import { oneInput } from '../../models/layers.ts'
import { shrinkModel, shrinkOptions } from '../../models/shrink.ts'
import { loadModel, parseModel } from '../../onnx/load.ts'
import { countParameters } from '../../onnx/parameters.ts'
import { serializeModel } from '../../onnx/save.ts'
import { macsOf } from '../../pipeline/cost.ts'
import { sharedModel } from '../support/shared.ts'
import { feedsFor, interfaceOf, outputsOf } from './derived.ts'
import { text } from './examples.ts'

/** Expects that narrower copies of a model are smaller, run, and have its inputs and outputs. */
export async function expectSmaller(name: string): Promise<void> {
  const teacher = await loadModel(sharedModel(`${name}.onnx`))
  const before = serializeModel(teacher)
  const { parameters } = countParameters(teacher)
  const inputs = name.startsWith('optimum')
    ? text(6, 20)
    : name.startsWith('ppocr')
      ? oneInput([3, 64, 96], 1).inputs
      : []
  const macs = await macsOf(teacher)
  const feeds = name.startsWith('ppocr') ? undefined : feedsFor(teacher, { batch: 2, sequence: 6 })
  const wanted = feeds && (await outputsOf(teacher, feeds))
  for (const options of [{ shrink: 0.5 }, { shrink: 0.999, weights: 'fresh' }]) {
    const half = parseModel(
      serializeModel(
        await shrinkModel(shrinkOptions.parse(options), { teacher, seed: 1, inputs, outputs: 1 }),
      ),
    )
    expect(interfaceOf(half)).toEqual(interfaceOf(teacher))
    expect(countParameters(half).parameters).toBeLessThan(parameters)
    if (macs !== undefined) expect((await macsOf(half))!).toBeLessThan(macs)
    // A detector for images of any size.
    if (!wanted) continue
    const got = await outputsOf(half, feeds!)
    for (const [output, { dims }] of Object.entries(wanted)) expect(got[output]!.dims).toEqual(dims)
  }
  expect(Buffer.compare(serializeModel(teacher), before)).toBe(0)
}
