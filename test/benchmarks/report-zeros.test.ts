// What the report says of zeros: what was measured.
import { describe, expect, it } from '@jest/globals'
import type { Variant } from '../../benchmarks/report/report.ts'
import { idleZeros } from '../../benchmarks/report/zeros.ts'
import { reportFixture } from '../support/report-fixture.ts'

const { teacher: original } = reportFixture()

/** A model of 1000 weights, so many of them zero, and its median latencies. */
function model(
  id: string,
  zeros: number,
  latencies: Readonly<Record<string, number>>,
  rest: Partial<Variant> = {},
): Variant {
  return {
    ...original,
    ...{ id, stage: 'prune', from: 'teacher', parameters: 1000, nonzeroParameters: 1000 - zeros },
    providers: Object.fromEntries(
      Object.entries(latencies).map(([name, p50Ms]) => [name, { available: true, p50Ms }]),
    ),
    ...rest,
  }
}

const teacher = model('teacher', 0, { cpu: 1, wasm: 4 }, { stage: 'teacher', from: null })
const said = (...variants: Variant[]) => idleZeros({ teacher, variants })

describe('the report says of a variant with zeros', () => {
  it('that they do not speed up the providers, with what was measured', () => {
    const line = said(model('prune', 800, { cpu: 0.98, wasm: 4.2 }))
    expect(line.map((text) => text.replace(/\s/g, ' '))).toEqual([
      "'prune': 80 % of the weights are zero, which does not speed up cpu and wasm: the latency over that of 'teacher' is 98 % on cpu, 1.1× on wasm — zeros make the file smaller; for speed cut channels (structure: channels)",
    ])
  })

  it.each(['2:4', 'block-4x1', 'banded'])('the same where they are %s', (structure) => {
    const variant = model('prune', 500, { cpu: 1.01 }, { stageOptions: { structure } })
    expect(said(variant)[0]).toContain(
      `are zero (structure ${structure}), which does not speed up cpu:`,
    )
  })

  it('nothing of providers that they do speed up', () => {
    expect(said(model('prune', 800, { cpu: 0.5, wasm: 4 }))[0]).toContain('speed up wasm:')
    expect(said(model('prune', 800, { cpu: 0.5, wasm: 2 }))).toEqual([])
  })

  it('nothing where nothing was timed, or on an emulated GPU alone', () => {
    expect(said(model('prune', 800, {}))).toEqual([])
    const emulated = { webgpu: { available: true, software: true, p50Ms: 9 } }
    expect(said(model('prune', 800, {}, { providers: emulated }))).toEqual([])
  })

  it('nothing where there are few, where the shapes changed too, or where it failed', () => {
    expect(said(model('prune', 50, { cpu: 1 }))).toEqual([])
    expect(said(model('prune', 800, { cpu: 1 }, { macs: 7 }))).toEqual([])
    expect(said(model('prune', 400, { cpu: 1 }, { parameters: 500 }))).toEqual([])
    expect(said(model('prune', 800, { cpu: 1 }, { failed: 'broken' }))).toEqual([])
  })

  it('against the model that has none yet, also behind an export', () => {
    const lines = said(
      model('small', 0, { cpu: 0.2 }, { stage: 'distill' }),
      model('prune', 800, { cpu: 0.2 }, { from: 'small' }),
      model('export', 800, { cpu: 0.21 }, { stage: 'export', from: 'prune' }),
      model('quantize', 800, { cpu: 0.1 }, { stage: 'quantize', from: 'prune' }),
    )
    expect(lines.map((line) => line.split(':')[0])).toEqual(["'prune'", "'export'"])
    for (const line of lines) expect(line).toContain("over that of 'small'")
  })
})
