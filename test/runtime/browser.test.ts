// What stands around a browser: finding one, the server, the count of nodes. The browser itself is in test/slow.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { UserError } from '../../base/errors.ts'
import { findChromium } from '../../runtime/browser/chromium.ts'
import { readPlacement } from '../../runtime/browser/placement.ts'
import { startServer } from '../../runtime/browser/server.ts'

describe('finding a Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'condense-test-'))
  const program = join(folder, 'chromium')
  writeFileSync(program, '')
  afterAll(() => rmSync(folder, { recursive: true }))

  it('takes what a variable names, and then the first that is there', () => {
    expect(findChromium({ CHROME_PATH: program }, [])).toBe(program)
    expect(findChromium({}, ['/nowhere/chromium', program])).toBe(program)
  })

  it('says what is missing', () => {
    expect(() => findChromium({ CONDENSE_BROWSER: '/nowhere', CHROME_PATH: program })).toThrow(
      new UserError("CONDENSE_BROWSER: no such file: '/nowhere' — name the program of a Chromium"),
    )
    expect(() => findChromium({}, [])).toThrow(
      new UserError(
        'no Chromium or Chrome was found — install one, or name its program in CONDENSE_BROWSER',
      ),
    )
  })
})

describe('the server of a browser', () => {
  it('gives isolated pages, offers once, takes once, and refuses everything else', async () => {
    const server = await startServer()
    try {
      const { origin } = new URL(server.url)
      expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/)
      const page = await fetch(`${server.url}wasm.html`)
      expect(page.headers.get('cross-origin-opener-policy')).toBe('same-origin')
      expect(page.headers.get('cross-origin-embedder-policy')).toBe('require-corp')
      const script = await fetch(`${server.url}ort.wasm.min.mjs`)
      expect(script.headers.get('content-type')).toBe('text/javascript')
      expect((await script.text()).length).toBeGreaterThan(10_000)

      const address = server.offer([Uint8Array.of(1, 2), Uint8Array.of(3)])
      expect([...new Uint8Array(await (await fetch(address)).arrayBuffer())]).toEqual([1, 2, 3])
      const answer = server.expect()
      const post = (to: string) => fetch(to, { method: 'POST', body: Uint8Array.of(7) })
      expect((await post(answer.address)).status).toBe(204)
      expect([...(await answer.bytes)]).toEqual([7])

      const hostile = [
        `${origin}/`,
        `${origin}/wasm.html`,
        `${origin}/${'0'.repeat(32)}/wasm.html`,
        server.url,
        `${server.url}ort.node.min.mjs`,
        `${server.url}..%2fpackage.json`,
        `${server.url}%2e%2e/package.json`,
        `${server.url}/etc/passwd`,
        `${server.url}toString.html`,
        `${server.url}wasm.html?x`,
        address,
      ]
      for (const url of hostile) expect((await fetch(url)).status).toBe(404)
      for (const url of [answer.address, address, server.url])
        expect((await post(url)).status).toBe(404)
      expect((await fetch(`${server.url}wasm.html`, { method: 'PUT' })).status).toBe(404)
    } finally {
      await server.close()
    }
  })

  it('is nobody for pages that call this machine by another name', async () => {
    const server = await startServer()
    try {
      const renamed = `${server.url}wasm.html`.replace('127.0.0.1', 'localhost')
      // Where localhost is no IPv4 address, nobody answers at all.
      const status = await fetch(renamed).then(
        (response) => response.status,
        () => 404,
      )
      expect(status).toBe(404)
    } finally {
      await server.close()
    }
  })
})

describe('counting nodes in what ONNX Runtime writes', () => {
  const line = (text: string) =>
    `2026-01-01 00:00:00.0 [V:onnxruntime:, session_state.cc:1383 VerifyEachNodeIsAssignedToAnEp] ${text}`

  it.each([
    [
      'all on one',
      ['Node placements', ' All nodes placed on [WebGpuExecutionProvider]. Number of nodes: 21'],
      { nodesOnProvider: 21, nodesElsewhere: 0 },
    ],
    [
      'all fell back',
      [' All nodes placed on [CPUExecutionProvider]. Number of nodes: 5'],
      { nodesOnProvider: 0, nodesElsewhere: 5 },
    ],
    [
      'copies are no work',
      [
        ' Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 3',
        '  Conv (a)',
        '  MemcpyToHost (Memcpy)',
        '  MemcpyFromHost (Memcpy_1)',
        ' Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2',
        '  NonZero (b)',
        '  TopK (c)',
      ],
      { nodesOnProvider: 1, nodesElsewhere: 2 },
    ],
    [
      'WebNN makes one node of many',
      [
        'WebNNExecutionProvider::GetCapability, number of partitions supported by WebNN: 1 number of nodes in the graph: 9 number of nodes supported by WebNN: 8',
        ' Node(s) placed on [WebNNExecutionProvider]. Number of nodes: 1',
        ' Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1',
      ],
      { nodesOnProvider: 8, nodesElsewhere: 1 },
    ],
  ])('%s', (_, said, expected) => {
    expect(readPlacement(said.map(line))).toEqual(expected)
  })

  it('knows nothing where nothing is said', () => {
    expect(readPlacement(['Session successfully initialized.'])).toBeUndefined()
  })
})
