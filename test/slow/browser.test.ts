// Models in a real browser: what they compute, what they take, and what is left when something ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { startCell } from '../../benchmarks/cell-process.ts'
import { inFile } from '../../benchmarks/test-data.ts'
import { build, newModel } from '../../onnx/build.ts'
import { Graph, type Model } from '../../onnx/graph.ts'
import { saveModel, serializeModel } from '../../onnx/save.ts'
import { type DataType, numbers, Tensor, tensorOf } from '../../onnx/tensor.ts'
import { runApart } from '../../runtime/apart.ts'
import { countNodes } from '../../runtime/browser/placement.ts'
import type { Tensors } from '../../runtime/feed.ts'
import { type ProviderName, providers } from '../../runtime/providers.ts'
import { withSession } from '../../runtime/session.ts'
import { linearModel, temporaryFolder, threeClasses } from '../support/measured.ts'
import { descendants, survivors, threadNames } from '../support/processes.ts'

process.env.CONDENSE_SOFTWARE_GPU = '1'
const chromium = '/usr/bin/chromium'
const hasBrowser = existsSync(chromium) && process.platform === 'linux'
const describeInBrowser = hasBrowser ? describe : describe.skip
const why = hasBrowser ? '' : ` (skipped: ${chromium} is absent)`

const folder = temporaryFolder()
const data = threeClasses(40)
const recipe = inFile(data.recipe, join(folder, 'test.records'))
const indices = Uint32Array.from({ length: data.size }, (_, index) => index)

/** The processes of browsers that this process, or a child of it, has started. */
const browsers = (pid = process.pid) =>
  descendants(pid).filter(({ command }) => command.includes('--remote-debugging-pipe'))
const renderers = (pid = process.pid) =>
  descendants(pid).filter(({ command }) => command.includes('--type=renderer'))

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

  it.each([
    ['wasm:browser', 1],
    ['wasm:browser', 3],
    ['webgpu:browser', 1],
  ] as const)(
    'computes on %s with %i threads what the CPU does, and tells its time',
    async (provider, threads) => {
      const path = resolve('../shared/models/conv-tiny-resnet8-cifar10.onnx')
      if (!existsSync(path)) return console.warn(`skipped: ${path} is absent`)
      const x = tensorOf(
        'float32',
        [2, 3, 32, 32],
        Float32Array.from({ length: 6144 }, (_, at) => Math.sin(at)),
      )
      const run = (options: { provider: ProviderName; threads: number }) =>
        withSession(path, options, async (session) => {
          const [{ name }, { name: output }] = [session.inputs[0]!, session.outputs[0]!]
          const found = (await session.run({ [name]: x }))[output]!
          const memory = new Tensor(found.dtype, found.dims, new Uint8Array(found.byteLength))
          const ms = await session.prepare({ [name]: x }, { [output]: memory })()
          const workers = renderers().flatMap(({ pid }) =>
            threadNames(pid).filter((each) => each.startsWith('DedicatedWorker')),
          )
          return { found: numbers(found), again: numbers(memory), ms, workers: workers.length }
        })
      const cpu = await run({ provider: 'cpu', threads: 1 })
      const own = await run({ provider, threads })
      expect(cpu.ms).toBeUndefined()
      expect(own.ms).toBeGreaterThan(0)
      expect(own.again).toEqual(own.found)
      for (const [at, value] of own.found.entries()) expect(value).toBeCloseTo(cpu.found[at]!, 4)
      // The page itself is one of the threads.
      expect(own.workers).toBe(threads - 1)
    },
  )

  it('says which providers of a browser are here, what does their work, and why others are not', async () => {
    expect(await providers['wasm:browser'].available()).toEqual({
      available: true,
      detail: expect.stringMatching(/^Chromium [\d.]+, SIMD and threads$/),
    })
    expect(await providers['webgpu:browser'].available()).toEqual({
      available: true,
      software: true,
      detail: expect.stringMatching(/^Chromium [\d.]+, .*swiftshader/),
    })
    const webnn = await providers['webnn:browser'].available()
    if (!webnn.available) expect(webnn.reason).toMatch(/WebNN.*\(Chromium [\d.]+\)$/)
    expect(await survivors(browsers().map(({ pid }) => pid))).toEqual([])
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

  it('that wants more memory than there is fails with a reason', async () => {
    const { model, g } = newModel('huge')
    const x = g.input('x', { dtype: 'float32', shape: [1] })
    const wide = g.Expand(x, tensorOf('int64', [2], [2 ** 16, 2 ** 15]))
    g.output('y', g.ReduceSum(g.Sin(wide), { keepdims: 0 }), { dtype: 'float32', shape: [] })
    const run = withSession(model, { provider: 'wasm:browser', where: 'huge' }, (session) =>
      session.run({ x: tensorOf('float32', [1], [1]) }),
    )
    await expect(run).rejects.toThrow(UserError)
    await expect(run).rejects.toThrow(/^huge: /)
  })
})

describeInBrowser(`a measuring process with a browser${why}`, () => {
  const open = (path: string, provider: ProviderName, threads = 1) =>
    ({ path, where: 'model', provider, threads, data: recipe }) as const

  it.each(['wasm:browser', 'webgpu:browser'] as const)(
    'measures on %s, and leaves nothing behind',
    async (provider) => {
      const cell = startCell()
      const path = await linearModel(join(folder, 'linear.onnx'))
      const { peakMemoryBytes } = await cell.ask('open', open(path, provider))
      expect(peakMemoryBytes).toBeGreaterThan(2 ** 24)
      const { outputs } = await cell.ask('predict', { indices, outputs: 'first' })
      const row = new Float32Array(4)
      data.read(39, 0, row, 0)
      expect(outputs.slice(-3)).toEqual(row.slice(0, 3))
      expect(await cell.ask('placement', {})).toEqual(
        provider === 'wasm:browser' ? undefined : { nodesOnProvider: 1, nodesElsewhere: 0 },
      )
      await cell.ask('warm', { batch: 2, indices, budgetMs: 20 })
      const { times } = await cell.ask('time', { runs: 5, budgetMs: 1000 })
      expect(times.length).toBeGreaterThan(0)
      expect(times.every((ms) => ms >= 0)).toBe(true)
      const pids = descendants(cell.pid!).map(({ pid }) => pid)
      expect(pids.length).toBeGreaterThan(2)
      await cell.close()
      expect(await survivors(pids)).toEqual([])
      expect(readdirSync(tmpdir()).filter((name) => name.includes(`-${cell.pid}-`))).toEqual([])
    },
  )

  it.each(['cpu', 'wasm', 'wasm:browser'] as const)(
    'that hangs on %s is killed with its browser',
    async (provider) => {
      const cell = startCell({ silenceMs: 15_000 })
      const path = await endless(join(folder, 'endless.onnx'))
      const answer = cell.ask('open', open(path, provider))
      await new Promise((resume) => setTimeout(resume, 10_000))
      const pids = descendants(cell.pid!).map(({ pid }) => pid)
      expect(pids.length > 0).toBe(provider === 'wasm:browser')
      await expect(answer).rejects.toThrow('it gave no answer for 15 s')
      await cell.close()
      expect(await survivors([cell.pid!, ...pids])).toEqual([])
    },
  )

  it.each([
    ['page', () => renderers],
    ['browser', () => browsers],
  ] as const)('tells that its %s was killed in the middle', async (_what, processes) => {
    const cell = startCell()
    const path = await endless(join(folder, 'endless.onnx'))
    const answer = cell.ask('open', open(path, 'wasm:browser'))
    await new Promise((resume) => setTimeout(resume, 10_000))
    for (const { pid } of processes()(cell.pid)) process.kill(pid, 'SIGKILL')
    await expect(answer).rejects.toThrow(
      /^model: the browser ended while it ran: .* — it ran out of memory, or its GPU driver crashed$/,
    )
    await cell.close()
  })

  it('that is killed takes its browser with it', async () => {
    const script = `
      const { openSession } = await import(${JSON.stringify(resolve('dist/runtime/session.js'))})
      await openSession(${JSON.stringify(await linearModel(join(folder, 'linear.onnx')))}, { provider: 'wasm:browser' })
      console.log('open')
      setInterval(() => undefined, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
    await once(parent.stdout, 'data')
    const pids = descendants(parent.pid!).map(({ pid }) => pid)
    expect(pids.length).toBeGreaterThan(2)
    parent.kill('SIGKILL')
    expect(await survivors(pids)).toEqual([])
    const left = () => readdirSync(tmpdir()).filter((name) => name.includes(`-${parent.pid}-`))
    expect(left()).toHaveLength(1)
    // The next browser removes what it left.
    await withSession(identity('float32'), { provider: 'wasm:browser' }, async () => undefined)
    expect(left()).toEqual([])
  })
})

const itOnLinux = process.platform === 'linux' ? it : it.skip
itOnLinux('WebAssembly under Node has as many threads as are asked for (needs dist/)', async () => {
  const path = await linearModel(join(folder, 'linear.onnx'))
  const threadsOf = async (threads: number) => {
    const cell = startCell()
    try {
      const data = { path, where: 'model', provider: 'wasm', threads, data: recipe } as const
      await cell.ask('open', data)
      return threadNames(cell.pid!).length
    } finally {
      await cell.close()
    }
  }
  expect((await threadsOf(4)) - (await threadsOf(1))).toBeGreaterThanOrEqual(3)
})
