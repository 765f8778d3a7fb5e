// One stage for one file: which data it reads, and that what was run is found again.
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { newModel } from '../../onnx/build.ts'
import { loadModel } from '../../onnx/load.ts'
import { saveModel } from '../../onnx/save.ts'
import { tensorOf } from '../../onnx/tensor.ts'
import type { RunEvent } from '../../pipeline/events.ts'
import { calibrationSamples } from '../../pipeline/prepare.ts'
import { runStage } from '../../pipeline/single.ts'
import { temporaryFolder, tinyData, tinyShape } from './tiny.ts'

const folder = temporaryFolder()
const cacheFolder = join(folder, 'cache')
const input = join(folder, 'loud.onnx')
const output = join(folder, 'half.onnx')

/** A model whose inner values are beyond float16, and whose outputs are not. */
async function writeLoudModel(): Promise<void> {
  const { model, g } = newModel('loud')
  const x = g.input('x', { dtype: 'float32', shape: ['N', ...tinyShape.shape] })
  const weights = Array.from({ length: 64 * tinyShape.classes }, (_, index) => (index % 7) - 3)
  const loud = g.Mul(
    g.MatMul(g.Flatten(x), tensorOf('float32', [64, tinyShape.classes], weights)),
    1e5,
  )
  g.output('y', g.Softmax(g.Mul(loud, 1e-5)), { dtype: 'float32' })
  await saveModel(model, input)
}

describe('one stage', () => {
  it('keeps in float32 what float16 cannot hold, as the data shows', async () => {
    await writeLoudModel()
    const events: RunEvent[] = []
    const request = {
      options: { stage: 'quantize', scheme: 'float16' },
      ...{ model: { file: input }, output, cacheFolder, data: tinyData, threads: 1 },
      onEvent: (event: RunEvent) => void events.push(event),
    } as const
    const { cached, summary } = await runStage(request)
    expect(cached).toBe(false)
    expect(summary).toMatch(
      /^float16: \d of \d operators; agreement 1\.000 with its input on 64 samples; runs alike on cpu/,
    )
    const logs = events.flatMap((event) => (event.event === 'log' ? [event.message] : []))
    expect(logs.join()).toMatch(/2 nodes stay float32, because values beyond/)
    expect((await runStage(request)).cached).toBe(true)
    // Without data it is another result, and may be a worse one.
    const blind = await runStage({ ...request, data: undefined }).catch(String)
    expect(blind).not.toMatchObject({ cached: true })
  })

  it('reads no data where its options ask for none, and says so', async () => {
    await writeLoudModel()
    const events: RunEvent[] = []
    await runStage({
      options: { stage: 'export' },
      ...{ model: { file: input }, output, cacheFolder, data: tinyData, threads: 1 },
      onEvent: (event) => void events.push(event),
    })
    expect(events).toContainEqual({
      event: 'log',
      message: 'export: reads no data with these options',
    })
    expect((await loadModel(output)).graph.outputs.map(({ name }) => name)).toEqual(['y'])
  })
})

it('holds as many calibration samples as the stage that wants most of them', () => {
  expect(calibrationSamples([])).toBe(512)
  expect(calibrationSamples([{ calibration: { samples: 64 } }, {}])).toBe(512)
  expect(calibrationSamples([{ calibration: { samples: 600 } }, { samples: 2000 }])).toBe(2000)
})
