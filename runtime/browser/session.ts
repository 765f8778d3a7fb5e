// A session whose model lives in a page of a browser: bytes go there and back through the loopback server.
import { setTimeout } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { messageOf, UserError } from '../../base/errors.ts'
import { type DataType, Tensor } from '../../onnx/tensor.ts'
import { checkFeeds, checkFetches, checkNames, copyInto, infoOf } from '../checks.ts'
import { explainOpening, explainRunning } from '../explain.ts'
import type { Session } from '../session.ts'
import { acquireChromium, type Chromium } from './chromium.ts'
import { type Described, type Failed, openInPage, runInPage } from './page.ts'
import type { Build } from './server.ts'

/** How a model is opened in a page. */
export interface PageOptions {
  readonly build: Build
  /** What onnxruntime-web calls the provider. */
  readonly executionProvider: string
  readonly threads: number
  readonly optimization: 'disabled' | 'basic' | 'extended' | 'all'
  /** What error messages call the model. */
  readonly where: string
  /** Told what ONNX Runtime wrote while it opened the model, line by line; it writes nothing unless this is given. */
  readonly listen?: (lines: readonly string[]) => void
}

/** So many bytes travel with the question or the answer itself; more are fetched and posted by themselves. */
const few = 2 ** 18

/** A page that does not close for so long hangs. */
const patienceMs = 1000

type Tensors = Readonly<Record<string, Tensor>>

/**
 * Opens a model, given as the bytes of a file with all of its weights, in a page of its own.
 *
 * A model that ONNX Runtime cannot run, and a browser that is missing, does not start or ends, are a {@link UserError}.
 */
export async function openInBrowser(model: Uint8Array, options: PageOptions): Promise<Session> {
  const chromium = await acquireChromium(options.build)
  try {
    const page = await chromium.page()
    return await openSession(chromium, page, model, options)
  } catch (thrown) {
    await chromium.release()
    throw thrown
  }
}

async function openSession(
  { server, version, release }: Chromium,
  page: Page,
  model: Uint8Array,
  { executionProvider, threads, optimization, where, listen }: PageOptions,
): Promise<Session> {
  const alive = <Result>(answer: Promise<Result>) => unlessGone(answer, where)
  const opened = await alive(
    page.evaluate(openInPage, {
      model: server.offer([model]),
      threads,
      listen: listen !== undefined,
      options: {
        executionProviders: [executionProvider],
        graphOptimizationLevel: optimization,
        logSeverityLevel: listen ? 0 : 4,
      },
    }),
  )
  if ('failed' in opened) throw explainOpening(where, version, new Error(opened.failed))
  if (opened.threads !== threads)
    throw new UserError(
      `${where}: WebAssembly has ${opened.threads} threads in this browser: ${threads} asked for — measure with 1`,
    )
  listen?.(opened.said)
  // The page was told so by ONNX Runtime, whose own types these are.
  const infosOf = (list: typeof opened.inputs) =>
    list.flatMap((metadata) => infoOf(metadata as Parameters<typeof infoOf>[0]))
  const [inputs, outputs] = [infosOf(opened.inputs), infosOf(opened.outputs)]
  const inputNames = opened.inputs.map(({ name }) => name)

  let firstRunMs = Number.NaN
  const execute = async (feeds: Tensors, wanted: readonly string[]) => {
    const { parts, described, size } = pack(feeds)
    const answer = server.expect()
    try {
      const ran = await alive(
        page.evaluate(runInPage, {
          feeds: described,
          input:
            size <= few
              ? { base64: Buffer.concat(parts).toString('base64') }
              : { address: server.offer(parts) },
          wanted,
          output: answer.address,
          few,
        }),
      )
      if ('failed' in ran) throw explainRunning(where, new Error((ran as Failed).failed))
      if (Number.isNaN(firstRunMs)) firstRunMs = ran.ms
      const bytes = ran.body === undefined ? await answer.bytes : Buffer.from(ran.body, 'base64')
      return { results: unpack(ran.results, bytes), ms: ran.ms }
    } finally {
      answer.forget()
    }
  }
  const bound = (feeds: Tensors, fetches: Tensors): (() => Promise<number>) => {
    checkFeeds(where, inputNames, inputs, feeds)
    checkFetches(where, outputs, fetches)
    const names = Object.keys(fetches)
    return async () => {
      const { results, ms } = await execute(feeds, names)
      for (const name of names) copyInto(where, name, fetches[name]!, results[name]!)
      return ms
    }
  }
  return {
    inputs,
    outputs,
    coldStart: () => ({ sessionMs: opened.ms, firstRunMs }),
    prepare: bound,
    async run(feeds, fetches = outputs.map(({ name }) => name)) {
      if (!isList(fetches)) {
        await bound(feeds, fetches)()
        return { ...fetches }
      }
      checkFeeds(where, inputNames, inputs, feeds)
      checkNames(where, 'output', outputs, fetches)
      return (await execute(feeds, fetches)).results
    },
    async dispose() {
      // A page that hangs does not close, but the browser ends with its last user all the same.
      const closed = page.close().catch(() => undefined)
      await Promise.race([closed, setTimeout(patienceMs)])
      await release()
    },
  }
}

const isList = (fetches: object): fetches is readonly string[] => Array.isArray(fetches)

/** What the page answers; that it ends before it has answered is a {@link UserError}. */
async function unlessGone<Result>(answer: Promise<Result>, where: string): Promise<Result> {
  try {
    return await answer
  } catch (thrown) {
    const [line = ''] = messageOf(thrown).split('\n')
    throw new UserError(
      `${where}: the browser ended while it ran: ${line.replace(/^page\.\w+: /, '')} — it ran out of memory, or its GPU driver crashed`,
      { cause: thrown },
    )
  }
}

/** Lays tensors one behind the other, each where any of its elements may begin. */
function pack(tensors: Tensors): {
  readonly parts: readonly Uint8Array[]
  readonly described: readonly Described[]
  readonly size: number
} {
  const decoder = new TextDecoder()
  const parts: Uint8Array[] = []
  let start = 0
  const described = Object.entries(tensors).map(([name, { dtype, dims, bytes, strings }]) => {
    if (strings) {
      const texts = strings.map((text) => decoder.decode(text))
      return { name, type: dtype, dims, start, length: 0, strings: texts }
    }
    const { length } = bytes
    const one = { name, type: dtype, dims, start, length }
    const gap = -length & 7
    parts.push(bytes)
    if (gap > 0) parts.push(new Uint8Array(gap))
    start += length + gap
    return one
  })
  return { parts, described, size: start }
}

function unpack(described: readonly Described[], body: Uint8Array): Record<string, Tensor> {
  const encoder = new TextEncoder()
  return Object.fromEntries(
    described.map(({ name, type, dims, start, length, strings }) => [
      name,
      strings
        ? new Tensor('string', dims, new Uint8Array(0), {
            strings: strings.map((text) => encoder.encode(text)),
          })
        : // The copy begins where elements of any type may.
          new Tensor(type as DataType, dims, Uint8Array.from(body.subarray(start, start + length))),
    ]),
  )
}
