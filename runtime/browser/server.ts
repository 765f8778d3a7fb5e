// A server for one browser on this machine: a page, ONNX Runtime's own files, and bytes that go to and fro.
import { randomBytes } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'

/** A server that listens on 127.0.0.1 alone. */
export interface LoopbackServer {
  /** Where everything lies, with a random part that nobody else knows; ends with a slash. */
  readonly url: string
  /** Gives bytes to whoever asks first for the address that is returned. */
  offer(parts: readonly Uint8Array[]): string
  /** Waits for bytes to be posted to an address, once. */
  expect(): { readonly address: string; readonly bytes: Promise<Uint8Array>; forget(): void }
  close(): Promise<void>
}

/** What ONNX Runtime is loaded from in a page: its script and, named like its WebAssembly, the loader of that. */
export const builds = {
  wasm: { script: 'ort.wasm.min.mjs', runtime: 'ort-wasm-simd-threaded' },
  gpu: { script: 'ort.webgpu.min.mjs', runtime: 'ort-wasm-simd-threaded.asyncify' },
} as const

/** The name of a build of onnxruntime-web. */
export type Build = keyof typeof builds

const files = new Set<string>(
  Object.values(builds).flatMap(({ script, runtime }) => [
    script,
    `${runtime}.mjs`,
    `${runtime}.wasm`,
  ]),
)

const page = (build: Build): string =>
  `<!doctype html><meta charset="utf-8"><title>Condense</title><link rel="icon" href="data:,"><script type="module">import * as ort from './${builds[build].script}'; globalThis.ort = ort</script>`

/** Threads of WebAssembly share memory, which browsers allow to pages that are isolated from all others. */
const isolated = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
} as const

const types = { html: 'text/html', mjs: 'text/javascript', wasm: 'application/wasm' } as const

/** Starts a server; anything but what it is for is answered with 404. */
export async function startServer(): Promise<LoopbackServer> {
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))
  const token = randomBytes(16).toString('hex')
  const offered = new Map<string, readonly Uint8Array[]>()
  const expected = new Map<string, (bytes: Buffer) => void>()
  let count = 0

  const head = (response: ServerResponse, status: number, headers: Record<string, string> = {}) =>
    response.writeHead(status, { ...isolated, ...headers })
  const refuse = (response: ServerResponse) => head(response, 404).end()

  const give = (name: string, response: ServerResponse): void => {
    const [stem, extension] = name.split(/\.(?=\w+$)/) as [string, keyof typeof types]
    const type = { 'Content-Type': types[extension] }
    if (extension === 'html' && Object.hasOwn(builds, stem))
      head(response, 200, type).end(page(stem as Build))
    else if (files.has(name)) {
      const path = join(folder, name)
      head(response, 200, { ...type, 'Content-Length': String(statSync(path).size) })
      createReadStream(path).pipe(response)
    } else if (offered.has(name)) {
      const parts = offered.get(name)!
      offered.delete(name)
      head(response, 200, { 'Cache-Control': 'no-store' })
      for (const part of parts) response.write(part)
      response.end()
    } else refuse(response)
  }
  const take = async (name: string, request: IncomingMessage, response: ServerResponse) => {
    const done = expected.get(name)
    if (!done) return refuse(response)
    expected.delete(name)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    head(response, 204).end()
    done(Buffer.concat(chunks))
  }

  const server = createServer((request, response) => {
    const { port } = server.address() as AddressInfo
    const prefix = `/${token}/`
    // Another name for this machine would make a page of another site one of ours.
    const isOurs =
      request.headers.host === `127.0.0.1:${port}` && request.url?.startsWith(prefix) === true
    const name = isOurs ? request.url!.slice(prefix.length) : ''
    if (isOurs && request.method === 'GET') give(name, response)
    else if (isOurs && request.method === 'POST')
      // A browser that goes away in the middle is noticed where its answer is waited for.
      take(name, request, response).catch(() => response.destroy())
    else refuse(response)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${token}/`
  return {
    url,
    offer(parts) {
      const name = `in${count++}`
      offered.set(name, parts)
      return url + name
    },
    expect() {
      const name = `out${count++}`
      const bytes = new Promise<Buffer>((resolve) => expected.set(name, resolve))
      return { address: url + name, bytes, forget: () => expected.delete(name) }
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
