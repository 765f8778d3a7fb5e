// Running a model in a process of its own: a broken driver takes its whole process down, WebAssembly has one pool of
// threads a process, and a Vulkan driver in software must be named before a process starts.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { deserialize, serialize } from 'node:v8'
import { Interrupted, UserError } from '../base/errors.ts'
import { type ArrayType, type DataType, elements, Tensor } from '../onnx/tensor.ts'
import { explainOpening, explainRunning } from './explain.ts'
import type { Tensors } from './feed.ts'
import { type ProviderName, providerNamed } from './providers.ts'
import { gpuEnvironment } from './webgpu.ts'

/** What is run. */
export interface ApartRequest {
  /** The bytes of a model. */
  readonly model: Uint8Array
  /** What it is run on, one run after the other; inputs and outputs are numbers. */
  readonly runs: readonly Tensors[]
  /** The outputs that are wanted. */
  readonly outputs: readonly string[]
  readonly provider: ProviderName
  readonly threads: number
  /** Another model that takes the same inputs, to be timed against on the first run. */
  readonly rival?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
  /** What error messages call the model. */
  readonly where: string
}

/** What came of it. */
export interface ApartResult {
  readonly results: readonly Tensors[]
  /** Times of the model and of its rival, ms, run in turn; empty without a rival. */
  readonly times: { readonly own: readonly number[]; readonly rival: readonly number[] }
}

/** How a tensor goes from one process to the other. */
interface Sent {
  readonly type: DataType
  readonly data: ArrayBufferView
  readonly dims: readonly number[]
}

/** What the process answers: what it found, or what ONNX Runtime said while it opened or ran the model. */
type Answer =
  | {
      readonly results: readonly Readonly<Record<string, Sent>>[]
      readonly own: readonly number[]
      readonly rival: readonly number[]
    }
  | { readonly failed: 'opening' | 'running'; readonly message: string; readonly version: string }

/** Runs of each model at most while they are timed, and the time for it, ms. */
const timing = { runs: 24, budgetMs: 400 } as const

// No ES module: the threads of WebAssembly would be started with its flag, which they refuse.
const script = `
const { deserialize, serialize } = require('node:v8')
const main = async () => {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const { path, model, rival, options, threads, runs, outputs, timing } = deserialize(Buffer.concat(chunks))
  const { default: whole, ...named } = await import(path)
  const { InferenceSession, Tensor, env } = whole ?? named
  env.logLevel = 'fatal'
  if (env.wasm) env.wasm.numThreads = threads
  const answer = (content) => new Promise((done) => process.stdout.write(serialize(content), done))
  let failed = 'opening'
  try {
    const open = (bytes) => InferenceSession.create(Buffer.from(bytes), options)
    const native = (feeds) => Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]))
    const own = await open(model)
    failed = 'running'
    const results = []
    for (const feeds of runs) {
      const found = await own.run(native(feeds), outputs)
      results.push(Object.fromEntries(Object.entries(found).map(([name, { type, data, dims }]) => [name, { type, data, dims }])))
    }
    const times = { own: [], rival: [] }
    if (rival) {
      const feeds = native(runs[0])
      const sessions = { own, rival: await open(rival) }
      const time = async (name) => {
        const start = process.hrtime.bigint()
        await sessions[name].run(feeds, outputs)
        return Number(process.hrtime.bigint() - start) / 1e6
      }
      // The first run of each makes its kernels ready.
      let spent = await time('own') + await time('rival')
      for (let run = 0; run < timing.runs && (run === 0 || spent < timing.budgetMs); run++)
        for (const name of run % 2 ? ['own', 'rival'] : ['rival', 'own']) {
          const ms = await time(name)
          times[name].push(ms)
          spent += ms
        }
    }
    await answer({ results, ...times })
  } catch (error) {
    await answer({ failed, message: String(error?.message ?? error), version: env.versions.common })
  }
  process.exit(0)
}
main()
`

/**
 * Runs a model on a provider in a process of its own.
 *
 * A model that the provider cannot open or run, and a process that ends before it has answered, are a
 * {@link UserError}.
 */
export async function runApart(request: ApartRequest): Promise<ApartResult> {
  const { model, runs, outputs, provider, threads, rival, signal, where } = request
  const row = providerNamed(provider)
  if (row.browser) return await runInBrowser(request)
  const { resolve } = createRequire(import.meta.url)
  const content = serialize({
    path: pathToFileURL(resolve(row.package)).href,
    ...{ model, rival, threads, outputs, timing },
    options: {
      executionProviders: [row.executionProvider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
    },
    runs: runs.map((feeds) =>
      Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, sent(tensor)])),
    ),
  })
  const answer = await ask(content, where, signal)
  if ('failed' in answer) {
    const thrown = new Error(answer.message)
    throw answer.failed === 'opening'
      ? explainOpening(where, answer.version, thrown)
      : explainRunning(where, thrown)
  }
  return {
    results: answer.results.map((found) =>
      Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, received(tensor)])),
    ),
    times: { own: answer.own, rival: answer.rival },
  }
}

/** The same in a browser, which is a process of its own. */
async function runInBrowser(request: ApartRequest): Promise<ApartResult> {
  const { runInPages } = await import('./browser/apart.ts')
  return await runInPages(request, timing)
}

/** Hands a request to a new process and waits for its answer. */
async function ask(
  content: Buffer,
  where: string,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return await new Promise((done, fail) => {
    const child = spawn(process.execPath, ['-e', script], {
      env: { ...gpuEnvironment() },
      stdio: ['pipe', 'pipe', 'ignore'],
      ...(signal && { signal }),
      killSignal: 'SIGKILL',
    })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    // A process that has ended does not read; its end is told below.
    child.stdin.on('error', () => undefined)
    child.on('error', (thrown) => fail(signal?.aborted ? new Interrupted() : thrown))
    child.on('close', (status, killedBy) => {
      if (chunks.length > 0 && status === 0) done(deserialize(Buffer.concat(chunks)) as Answer)
      else
        fail(
          new UserError(
            `${where}: its process ended while it ran: ${killedBy ?? `status ${status}`} — leave this provider out, or check its driver`,
          ),
        )
    })
    child.stdin.end(content)
  })
}

function sent({ dtype, dims, bytes }: Tensor): Sent {
  const own = new Tensor(dtype, dims, Uint8Array.from(bytes))
  return { type: dtype, data: elements(own, dtype as ArrayType), dims }
}

function received({ type, data, dims }: Sent): Tensor {
  return new Tensor(type, dims, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
}
