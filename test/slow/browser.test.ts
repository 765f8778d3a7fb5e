// Models in a real browser: what they compute, what they take, and what is left when something ends.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { build, newModel } from '../../onnx/build.ts'
import { Graph, type Model } from '../../onnx/graph.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { type DataType, numbers, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { runApart } from '../../runtime/apart.ts'
import { countNodes } from '../../runtime/browser/placement.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { withSession } from '../../runtime/session.ts'
import { temporaryFolder } from '../support/measured.ts'
import { descendants, survivors } from '../support/processes.ts'

process.env.CONDENSE_SOFTWARE_GPU = '1'
const chromium = '/usr/bin/chromium'
const hasBrowser = existsSync(chromium) && process.platform === 'linux'
const describeInBrowser = hasBrowser ? describe : describe.skip
const why = hasBrowser ? '' : ` (skipped: ${chromium} is absent)`

const folder = temporaryFolder()

/** The processes of browsers that this process, or a child of it, has started. */
const browsers = (pid = process.pid) =>
  descendants(pid).filter(({ command }) => command.includes('--remote-debugging-pipe'))

/** A model that gives its input back. */
function identity(dtype: DataType): Model {
  const { model, g } = newModel('identity')
  g.output('y', g.Identity(g.input('x', { dtype, shape: ['N'] })), { dtype, shape: ['N'] })
  return model
}

/** A model whose only layer goes on for ever. */
async function endless(path: string): Promise<string> {
  const { model, g } = newModel('endless')
  const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
  const body = build(new Graph('body', g.graph))
  body.input('turn', { dtype: 'int64', shape: [] })
  const goOn = body.input('go', { dtype: 'bool', shape: [] })
  const state = body.input('state', { dtype: 'float32' })
  body.output('goOn', body.Identity(goOn), { dtype: 'bool', shape: [] })
  body.output('next', body.Add(state, 1), { dtype: 'float32' })
  const forever = tensorOf('int64', [], [2 ** 53])
  const inputs = [forever, tensorOf('bool', [], [1]), x]
  const [y] = g.node('Loop', inputs, { attributes: { body: body.graph } })
  g.output('y', y!, { dtype: 'float32', shape: ['N', 4] })
  await saveModel(model, path)
  return path
}

describeInBrowser(`a model in a browser${why}`, () => {
  const contents: readonly (readonly [DataType, Tensor])[] = [
    ['float32', tensorOf('float32', [3], [1.5, -0, Number.NaN])],
    ['float16', new Tensor('float16', [3], Uint8Array.of(0, 0x3c, 1, 0, 0xff, 0x7b))],
    ['float64', tensorOf('float64', [1], [Math.PI])],
    [
      'int64',
      new Tensor('int64', [2], new Uint8Array(BigInt64Array.of(2n ** 62n + 1n, -1n).buffer)),
    ],
    ['int32', tensorOf('int32', [3], [1, -2, 2 ** 31 - 1])],
    ['uint8', tensorOf('uint8', [5], [0, 1, 127, 128, 255])],
    ['int8', tensorOf('int8', [3], [-128, 0, 127])],
    ['bool', tensorOf('bool', [3], [1, 0, 1])],
    // More than goes along with a question.
    ['float32', tensorOf('float32', [2 ** 17 + 1], new Float32Array(2 ** 17 + 1).fill(0.1))],
    [
      'string',
      new Tensor('string', [2], new Uint8Array(0), {
        strings: ['grün', ''].map((text) => new TextEncoder().encode(text)),
      }),
    ],
  ]
  it('gives all types back as they are', async () => {
    const options = { provider: 'wasm:browser' } as const
    // The browser stays open as long as somebody uses it.
    await withSession(identity('bool'), options, async () => {
      for (const [dtype, x] of contents) {
        const y = await withSession(identity(dtype), options, async (session) => {
          expect(session.inputs).toEqual([{ name: 'x', dtype, shape: ['N'] }])
          return (await session.run({ x })).y!
        })
        expect([y.dtype, y.dims, y.strings]).toEqual([x.dtype, x.dims, x.strings])
        expect(Buffer.compare(y.bytes, x.bytes)).toBe(0)
      }
    })
  })

  it('counts the nodes that fell back', async () => {
    const { model, g } = newModel('half')
    const x = g.input('x', { dtype: 'float32', shape: ['N', 4] })
    // WebGPU has no kernel for NonZero.
    const [places] = g.node('NonZero', [g.Relu(x)])
    g.output('y', places!, { dtype: 'int64' })
    const gpu = { build: 'gpu', threads: 1, optimization: 'all', where: 'half' } as const
    const counted = await countNodes(serializeModel(model), { ...gpu, executionProvider: 'webgpu' })
    expect(counted).toEqual({ nodesOnProvider: 1, nodesElsewhere: 1 })
  })

  it('is timed against another, and explains what cannot run', async () => {
    const model = serializeModel(identity('float32'))
    const feeds: Tensors = { x: tensorOf('float32', [2], [1, 2]) }
    const request = { runs: [feeds], outputs: ['y'], threads: 1, where: 'a model' } as const
    const ran = await runApart({ ...request, model, rival: model, provider: 'wasm:browser' })
    expect(numbers(ran.results[0]!.y!)).toEqual([1, 2])
    expect(ran.times.own.length).toBeGreaterThan(1)
    expect(ran.times.own.length).toBe(ran.times.rival.length)
    expect([...ran.times.own, ...ran.times.rival].every((ms) => ms >= 0)).toBe(true)
    await expect(
      runApart({ ...request, model: Uint8Array.of(1, 2, 3), provider: 'wasm:browser' }),
    ).rejects.toThrow(/^a model: ONNX Runtime Chromium.* cannot run it: .*damaged/)
    const abort = new AbortController()
    const hung = runApart({
      ...{ ...request, runs: [{ x: tensorOf('float32', [1, 4], [1, 2, 3, 4]) }] },
      model: readFileSync(await endless(join(folder, 'hung.onnx'))),
      ...{ provider: 'wasm:browser', signal: abort.signal },
    })
    setTimeout(() => abort.abort(), 8000)
    await expect(hung).rejects.toThrow('interrupted')
    expect(await survivors(browsers().map(({ pid }) => pid))).toEqual([])
  })
})
