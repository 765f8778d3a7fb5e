import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import { renderReport } from '../../../benchmarks/report/render.ts'
import { bench } from '../../../pipeline/bench.ts'
import { profile } from '../../../pipeline/profile.ts'
import { itWithShared, sharedModel } from '../../support/shared.ts'

const folder = mkdtempSync(join(tmpdir(), 'condense-bench-'))
const latency = { seconds: 0.05, batches: [1], threads: [1] }

itWithShared('measures one model without data, and says that nothing was judged', async () => {
  const teacher = sharedModel('mnist-8-ortweb.onnx')
  const report = await bench({ teacher, models: [], latency, cacheFolder: folder })
  expect(report.data).toMatchObject({ source: 'random inputs', random: true })
  expect(report.teacher).toMatchObject({ accuracy: null, retention: null })
  expect(report.teacher.failed).toBeUndefined()
  expect(report.teacher.sizeBytes).toBe(readFileSync(teacher).length)
  expect(report.teacher.providers.cpu!.p50Ms).toBeGreaterThan(0)
  const files = renderReport(report)
  expect(files['report.md']).toMatch(/No data was given/)
  expect(files['report.md']).not.toMatch(/stands alone|NaN|\*\*failed/)
})

itWithShared('measures a model with three inputs, told of what cannot be made up', async () => {
  const teacher = sharedModel('silero-vad.onnx')
  const request = { teacher, models: [], latency, cacheFolder: folder }
  await expect(bench(request)).rejects.toThrow(/its inputs were random/)
  const { teacher: measured } = await bench({
    ...request,
    latency: { ...latency, batches: [1, 4] },
    shapes: { input: [1, 512] },
    inputs: { sr: { constant: 16000 } },
  })
  const { measurements } = measured.providers.cpu!
  expect(measurements!.map(({ batch }) => batch)).toEqual([1, 4])
})

itWithShared('compares two models on random inputs by size and time alone', async () => {
  const teacher = sharedModel('mnist-8-ortweb.onnx')
  const report = await bench({ teacher, models: [teacher], latency, cacheFolder: folder })
  const [variant] = report.variants
  expect(variant).toMatchObject({ accuracy: null, retention: null })
  expect(variant!.providers.cpu!.latencyRatio!.value).toBeGreaterThan(0)
  expect(renderReport(report)['report.md']).not.toMatch(/none is good enough|Most faithful/)
})

itWithShared(
  'profiles a model with three inputs when it is told what cannot be made up',
  async () => {
    const model = sharedModel('silero-vad.onnx')
    await expect(profile({ model, cacheFolder: folder, seconds: 0.01 })).rejects.toThrow(
      /its inputs were random/,
    )
    const table = await profile({
      ...{ model, cacheFolder: folder, seconds: 0.01 },
      shapes: { input: [1, 512] },
      inputs: { sr: { constant: 16000 } },
    })
    expect(table.rows.some(({ operator }) => operator === 'LSTM')).toBe(true)
  },
)

itWithShared('says in one line that a provider writes no profile', async () => {
  const model = sharedModel('mnist-8-ortweb.onnx')
  await expect(profile({ model, provider: 'wasm', cacheFolder: folder })).rejects.toThrow(
    /^provider 'wasm' writes no profile/,
  )
})
