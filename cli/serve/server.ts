// A server for browsers on this machine: one page, and what tells those who look at it that it has changed.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UserError } from '../../base/errors.ts'
import { policyOf } from '../../benchmarks/report/html.ts'
import { pageScript } from './script.ts'

/** A page on 127.0.0.1. */
export interface Site {
  readonly url: string
  /** Tells everybody who looks at the page something, which is made only where there is somebody. */
  send(event: string, data: () => string): void
  /** Tells everybody that the page will not change again. */
  end(): void
  /** Tells everybody that the page has changed, and waits until they have drawn it, a second at most. */
  announce(): Promise<void>
  /** Ends all connections, whatever hangs on them. */
  close(): Promise<void>
}

/** Somebody who looks at the page. */
interface Client {
  readonly response: ServerResponse
  /** The last version of the page that was drawn there. */
  shown: number
  /** Set by one that did not draw a page in time: nobody waits for it again until it does. */
  slow: boolean
}

const patienceMs = 1000

/** Nobody else may read, frame or keep what is answered. */
const headers = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `${policyOf(pageScript)}; frame-ancestors 'none'`,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const

/** Serves what `page` gives, on a port that is free unless one is given; a port that is taken is a {@link UserError}. */
export async function openSite(port: number, page: () => string): Promise<Site> {
  const clients = new Map<string, Client>()
  let version = 0
  let joined = 0
  // Those who wait for pages to be drawn look again whenever something has come of it.
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const look of waiting) look()
  }
  const tell = ({ response }: Client, event: string, data: string) => {
    // Who does not read is let go, and comes back when it can: what is written to it would pile up here.
    if (response.writableNeedDrain) response.destroy()
    else response.write(`event: ${event}\ndata: ${data}\n\n`)
  }
  const join = (response: ServerResponse) => {
    const id = String(++joined)
    const client = { response, shown: -1, slow: false }
    clients.set(id, client)
    response.once('close', () => {
      clients.delete(id)
      wake()
    })
    tell(client, 'hello', id)
    // It may have changed since it was fetched.
    tell(client, 'page', String(version))
  }
  const note = (id: string, shown: number) => {
    const client = clients.get(id)
    if (!client) return
    client.shown = Math.max(client.shown, shown)
    client.slow = false
    wake()
  }
  const answer = ({ method, url = '' }: IncomingMessage, response: ServerResponse) => {
    const give = (status: number, type: string, body: string, more = {}) =>
      response
        .writeHead(status, {
          ...headers,
          'Content-Type': `${type}; charset=utf-8`,
          'Content-Length': Buffer.byteLength(body),
          ...more,
        })
        .end(method === 'HEAD' ? undefined : body)
    const [path] = url.split('?')
    const [, id, shown] = /^\/shown\/(\d+)\/(\d+)$/.exec(path ?? '') ?? []
    if (method !== 'GET' && method !== 'HEAD')
      give(405, 'text/plain', 'only GET and HEAD\n', { Allow: 'GET, HEAD' })
    else if (path === '/') give(200, 'text/html', page())
    else if (path === '/events') {
      response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream' })
      if (method === 'HEAD') response.end()
      else join(response)
    } else if (id !== undefined) {
      note(id, Number(shown))
      response.writeHead(204, headers).end()
    } else give(404, 'text/plain', 'there is nothing here\n')
  }
  const server = createServer((request, response) => {
    const { port: own } = server.address() as AddressInfo
    // Another name for this machine would make a page of another site one of ours.
    const hosts = ['127.0.0.1', 'localhost'].flatMap((name) => [
      `${name}:${own}`,
      ...(own === 80 ? [name] : []),
    ])
    if (hosts.includes(request.headers.host ?? '')) answer(request, response)
    else response.writeHead(403, headers).end()
  })
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, port)))
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    send(event, data) {
      const text = clients.size > 0 ? data() : ''
      for (const client of clients.values()) tell(client, event, text)
    },
    end() {
      for (const client of clients.values()) {
        tell(client, 'end', '')
        client.response.end()
      }
    },
    async announce() {
      const current = ++version
      const late = () => [...clients.values()].filter(({ shown }) => shown < current)
      for (const client of clients.values()) tell(client, 'page', String(current))
      await new Promise<void>((resolve) => {
        const finish = () => {
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
        const look = () => {
          if (late().every(({ slow }) => slow)) finish()
        }
        const timer = setTimeout(() => {
          for (const client of late()) client.slow = true
          finish()
        }, patienceMs)
        waiting.add(look)
        look()
      })
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function explain(error: NodeJS.ErrnoException, port: number): unknown {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'it is taken — choose another, or give none',
    EACCES: 'permission denied — choose one above 1023',
  }
  const reason = reasons[error.code ?? '']
  return reason ? new UserError(`--serve: port ${port}: ${reason}`, { cause: error }) : error
}
