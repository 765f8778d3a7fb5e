// A web server of the test's own, on this machine, that is closed when the test file is done.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll } from '@jest/globals'

/** A request that a server received. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
}

/** A running server. */
export interface TestServer {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly origin: string
  /** What was asked for so far. */
  readonly received: Received[]
}

const closers: (() => void)[] = []
afterAll(() => {
  for (const close of closers) close()
})

/** Starts a server that answers as the handler says. */
export async function startServer(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestServer> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request
    received.push({ method, path: url, headers })
    handle(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received }
}

/** Sends a file as web servers do: with its size and tag, in parts where asked. */
export function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  content: Uint8Array,
  { etag = '"v1"' as string | undefined, ranges = true, cutAt = Number.POSITIVE_INFINITY } = {},
): void {
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? []
  const continues = ranges && from !== undefined && (!etag || request.headers['if-range'] === etag)
  const first = continues ? Number(from) : 0
  const body = content.subarray(first)
  response.writeHead(continues ? 206 : 200, {
    'content-length': body.length,
    ...(etag ? { etag } : {}),
    ...(continues
      ? { 'content-range': `bytes ${first}-${content.length - 1}/${content.length}` }
      : {}),
  })
  if (cutAt >= body.length) response.end(body)
  else response.write(body.subarray(0, cutAt), () => setTimeout(() => response.destroy(), 100))
}
