// The page of a run on loopback: who is answered, what is told, and that nothing is drawn while a model is timed.
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { livePage } from '../../cli/serve/page.ts'
import { type Served, serve } from '../../cli/serve/serve.ts'
import type { RunEvent } from '../../pipeline/events.ts'
import { reportFixture } from '../support/report-fixture.ts'

const open: Served[] = []
afterEach(async () => {
  for (const served of open.splice(0)) await served.close()
})

/** A served run, with how often its page was rendered. */
async function servedRun(render = livePage) {
  const count = { renders: 0 }
  const served = await serve(
    { name: 'run', log: (line) => expect(line).toBe('') },
    {
      render(known) {
        count.renders++
        return render(known)
      },
    },
  )
  open.push(served)
  return { served, count }
}

/** Asks as any program may, with whatever headers. */
function ask(url: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const request = httpRequest(url, options, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (piece: string) => {
          body += piece
        })
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body }),
        )
      })
      request.on('error', reject).end()
    },
  )
}

const stages = [{ id: 'prune', stage: 'prune', step: 1, steps: 1 }]
const [prune] = stages as [(typeof stages)[0]]
const start: RunEvent = { event: 'run-start', name: 'run', folder: 'runs/run', steps: 1, stages }
const timing: RunEvent = {
  ...{ event: 'benchmark-progress', done: 0.5, what: 'cpu: latency, batch 1, 1 thread' },
}

describe('the server', () => {
  it('answers its own name, GET and HEAD, and one page', async () => {
    const { served } = await servedRun()
    const { url } = served
    const { host, port } = new URL(url)
    expect(host).toBe(`127.0.0.1:${port}`)
    const page = await ask(url)
    expect(page.status).toBe(200)
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringMatching(
        /script-src 'sha256-[^']+'; connect-src 'self'/,
      ),
    })
    expect((await ask(url, { headers: { Host: `localhost:${port}` } })).status).toBe(200)
    const head = await ask(url, { method: 'HEAD' })
    expect([head.status, head.body]).toEqual([200, ''])
    expect(head.headers['content-length']).toBe(String(Buffer.byteLength(page.body)))
    for (const name of ['evil.example', `evil.example:${port}`, '127.0.0.1', `127.0.0.1:${port}1`])
      expect((await ask(url, { headers: { Host: name } })).status).toBe(403)
    for (const path of ['report.json', '../package.json', 'events/', 'shown/1'])
      expect((await ask(url + path)).status).toBe(404)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const refused = await ask(url, { method })
      expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD'])
    }
  })

  it('listens on loopback alone', async () => {
    const { served } = await servedRun()
    const { port } = new URL(served.url)
    // Linux answers all of 127.0.0.0/8, so that a server on every address would answer here, too.
    const reached = await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.2')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    expect(reached).toBe(false)
  })

  it('says in a line that a port is taken', async () => {
    const { served } = await servedRun()
    const port = Number(new URL(served.url).port)
    await expect(serve({ name: 'run', port, log: () => undefined })).rejects.toThrow(
      `--serve: port ${port}: it is taken — choose another, or give none`,
    )
  })

  it('waits a second at most for who hangs, and never again, and ends all the same', async () => {
    const { served } = await servedRun(() => 'page')
    const { port } = new URL(served.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET /events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.pause()
    const timed = async (use: () => Promise<void>) => {
      const begin = performance.now()
      await use()
      return performance.now() - begin
    }
    expect(await timed(() => served.partial(reportFixture()))).toBeGreaterThan(900)
    expect(await timed(() => served.partial(reportFixture()))).toBeLessThan(900)
    // What it does not read is not kept for it: it is let go.
    for (let i = 0; i < 1000; i++) served.listen({ ...timing, what: 'x'.repeat(10_000) })
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.resume()
    await ended
    expect(await timed(() => served.close())).toBeLessThan(900)
  })
})

describe('the page', () => {
  it('has the steps, then what is known, then the report as it is on disk', async () => {
    const { served } = await servedRun()
    const page = async () => (await ask(served.url)).body
    served.listen(start)
    served.listen({ event: 'stage-start', ...prune })
    served.listen({ event: 'progress', id: 'prune', done: 0.5, epoch: 1, epochs: 2, loss: 0.25 })
    expect(await page()).toMatch(/\[1\/1\] prune.*runs, 50.*epoch 1\/2 · loss 0\.250/)
    served.listen({
      ...{ event: 'progress', id: 'prune', done: 0.5, epoch: 1, epochs: 2 },
      ...{ accuracy: 0.75, epochDone: true },
    })
    expect(await page()).toContain('Accuracy on the validation split by epoch')
    served.listen({ event: 'stage-done', ...prune, cached: false, seconds: 1, sizeBytes: 1e3 })
    served.listen({ event: 'benchmark-start', variants: 1 })
    await served.partial(reportFixture())
    const partial = await page()
    const ids = [...partial.matchAll(/<section id="(\w+)"/g)].map(([, id]) => id)
    expect(ids).toEqual(expect.arrayContaining(['progress', 'journey', 'latency']))
    expect(ids).not.toContain('verdict')
    await served.done('<!doctype html>the report')
    expect(await page()).toBe('<!doctype html>the report')
  })

  it('is not rendered while a model is timed, whoever asks', async () => {
    const { served, count } = await servedRun(({ report }) => `figures: ${report !== undefined}`)
    served.listen(start)
    served.listen({ event: 'benchmark-start', variants: 1 })
    await served.partial(reportFixture())
    const { renders } = count
    served.listen(timing)
    served.listen({ event: 'log', message: 'something' })
    for (let i = 0; i < 3; i++) expect((await ask(served.url)).body).toBe('figures: true')
    expect(count.renders).toBe(renders)
  })

  it('shows why a run failed, and hostile texts as texts', async () => {
    const { served } = await servedRun()
    const hostile = '</script><script>alert(1)</script><img src=x onerror=alert(1)>'
    served.listen({ ...start, name: hostile, stages: [{ ...prune, id: hostile }] })
    served.listen({ event: 'stage-start', ...prune, id: hostile })
    await served.failed(`The run failed: ${hostile}`)
    const { body } = await ask(served.url)
    expect(body).toContain('The run failed: &#60;/script&#62;')
    expect(body).not.toMatch(/<img|alert\(1\)<\/script>/)
    expect(body.match(/<script>/g)).toHaveLength(1)
    expect(body).toContain('✗ stopped')
  })
})
