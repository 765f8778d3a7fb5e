import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { parseAddress, redirected, showAddress } from '../../base/addresses.ts'
import { type DownloadProgress, download } from '../../base/download.ts'
import { Interrupted, UserError } from '../../base/errors.ts'
import { temporaryFolder } from '../support/folder.ts'
import { sendFile, startServer } from '../support/server.ts'

const content = randomBytes(300_000)
const hash = (bytes: Uint8Array, algorithm = 'sha256') =>
  createHash(algorithm).update(bytes).digest('hex')
const digest = { algorithm: 'sha256', value: hash(content) } as const
const limits = { maximumBytes: 1 << 20, pauseMs: 1 }
const target = () => join(temporaryFolder(), 'deep', 'file.bin')
const leftBeside = (path: string) => readdirSync(join(path, '..'))

describe('a download', () => {
  it('leaves the file alone in its folder, and tells how far it is', async () => {
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    const told: DownloadProgress[] = []
    const done = await download(`${origin}/x?key=secret`, path, {
      ...limits,
      digest,
      onProgress: (progress) => told.push(progress),
    })
    expect(done.sizeBytes).toBe(content.length)
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(leftBeside(path)).toEqual(['file.bin'])
    expect(told.at(-1)).toEqual({
      address: `${origin}/x?…`,
      receivedBytes: content.length,
      totalBytes: content.length,
    })
  })

  it('asks for the bytes as they are, not packed on the way', async () => {
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    await download(origin, target(), limits)
    expect(received[0]?.headers['accept-encoding']).toBe('identity')
  })

  it('of nothing is an empty file', async () => {
    const { origin } = await startServer((_request, response) => response.end())
    const path = target()
    await download(origin, path, limits)
    expect(readFileSync(path)).toHaveLength(0)
  })

  it.each(['file', 'content'] as const)('checks the digest of the %s', async (of) => {
    const packed = gzipSync(content)
    const { origin } = await startServer((request, response) => sendFile(request, response, packed))
    const value = hash(of === 'file' ? packed : content, 'md5').toUpperCase()
    const path = target()
    await download(origin, path, { ...limits, digest: { algorithm: 'md5', value, of } })
    expect(readFileSync(path).equals(packed)).toBe(true)
  })

  it.each([
    ['other bytes', content.subarray(1), 'file'],
    ['bytes that are no gzip', content, 'content'],
    ['a gzip that ends early', gzipSync(content).subarray(0, 1000), 'content'],
  ] as const)('refuses %s and leaves nothing', async (_what, sent, of) => {
    const { origin } = await startServer((request, response) => sendFile(request, response, sent))
    const path = target()
    const wrong = download(`${origin}/a`, path, { ...limits, digest: { ...digest, of } })
    await expect(wrong).rejects.toThrow(
      new RegExp(`^${origin}/a: not the file that is expected: sha256 [^\n]+ — [^\n]+$`),
    )
    await expect(wrong).rejects.toBeInstanceOf(UserError)
    expect(leftBeside(path)).toEqual([])
  })

  it('can take the digest from the headers of the answers', async () => {
    const { origin } = await startServer((request, response) => {
      if (request.url === '/cdn') sendFile(request, response, content)
      else response.writeHead(302, { location: '/cdn', 'x-sha256': hash(Buffer.from('x')) }).end()
    })
    const fromHeaders = (headers: readonly Headers[]) => ({
      algorithm: 'sha256' as const,
      value: headers[0]?.get('x-sha256') ?? '',
    })
    await expect(download(origin, target(), { ...limits, digest: fromHeaders })).rejects.toThrow(
      /not the file/,
    )
  })
})

describe('a cut connection', () => {
  it('is continued where it was cut', async () => {
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content, { cutAt: 100_000 }),
    )
    const path = target()
    await download(origin, path, { ...limits, digest })
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(received.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=200000-',
    ])
    expect(received[1]?.headers['if-range']).toBe('"v1"')
  })

  it.each([
    ['knows no ranges', { ranges: false }],
    ['names no version', { etag: undefined }],
    ['names a weak version', { etag: 'W/"v1"' }],
  ])('begins anew where the server %s', async (_what, options) => {
    let count = 0
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content, {
        ...options,
        ...(count++ === 0 ? { cutAt: 70_000 } : {}),
      }),
    )
    const path = target()
    await download(origin, path, { ...limits, digest })
    expect(readFileSync(path).equals(content)).toBe(true)
  })

  it('begins anew where the file has changed meanwhile', async () => {
    let count = 0
    const other = randomBytes(200_000)
    const { origin } = await startServer((request, response) => {
      if (count++ === 0) sendFile(request, response, content, { cutAt: 70_000 })
      else sendFile(request, response, other, { etag: '"v2"' })
    })
    const path = target()
    await download(origin, path, limits)
    expect(readFileSync(path).equals(other)).toBe(true)
  })

  it.each([
    ['another place', { 'content-range': 'bytes 5-299999/300000', etag: '"v1"' }],
    ['another version', { 'content-range': 'bytes 70000-299999/300000', etag: '"v2"' }],
  ])('does not take a continuation from %s', async (_what, headers) => {
    let count = 0
    const { origin } = await startServer((request, response) => {
      if (count++ === 1) response.writeHead(206, headers).end(content.subarray(5))
      else sendFile(request, response, content, count === 1 ? { cutAt: 70_000 } : {})
    })
    const path = target()
    await download(origin, path, { ...limits, digest })
    expect(readFileSync(path).equals(content)).toBe(true)
  })

  it('is given up after a few tries, and continued by the next download', async () => {
    let isDown = true
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content, isDown ? { cutAt: 10_000 } : {}),
    )
    const path = target()
    await expect(download(origin, path, limits)).rejects.toThrow(
      /^http:\S+: the connection was cut: .+ — try again later$/,
    )
    expect(received).toHaveLength(5)
    expect(leftBeside(path)).toEqual(['file.bin.part'])
    isDown = false
    await download(origin, path, { ...limits, digest })
    expect(received.at(-1)?.headers.range).toBe('bytes=50000-')
    expect(leftBeside(path)).toEqual(['file.bin'])
  })

  it.each([429, 500, 503])('is like status %i, which is tried again', async (status) => {
    let count = 0
    const { origin } = await startServer((request, response) => {
      if (count++ < 2) response.writeHead(status, { 'retry-after': '0' }).end('busy')
      else sendFile(request, response, content)
    })
    await download(origin, target(), { ...limits, digest })
    expect(count).toBe(3)
  })

  it('is like one on which nothing comes', async () => {
    let count = 0
    const { origin } = await startServer((request, response) => {
      if (count++ > 0) sendFile(request, response, content)
      else response.writeHead(200, { 'content-length': content.length, etag: '"v1"' }).write('x')
    })
    await download(origin, target(), { ...limits, idleMs: 100 })
    expect(count).toBe(2)
  })
})

describe('what another process left', () => {
  const leave = (path: string, name: string, bytes: Uint8Array, validator = '"v1"') => {
    mkdirSync(join(path, '..', name), { recursive: true })
    writeFileSync(join(path, '..', name, 'content'), bytes)
    writeFileSync(join(path, '..', name, 'validator'), validator)
  }
  const host = hostname()
    .replace(/[^\w.]/g, '_')
    .slice(0, 60)

  it('is continued when the process is gone', async () => {
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    leave(path, `file.bin.part-${host}-4194999-0123456789ab`, content.subarray(0, 1234))
    await download(origin, path, { ...limits, digest })
    expect(received.map(({ headers }) => headers.range)).toEqual(['bytes=1234-'])
    expect(leftBeside(path)).toEqual(['file.bin'])
  })

  it.each([
    ['lives', `file.bin.part-${host}-${process.pid}-0123456789ab`],
    ['is of another machine', 'file.bin.part-elsewhere-4194999-0123456789ab'],
  ])('is left alone when the process %s', async (_what, name) => {
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    leave(path, name, content.subarray(0, 1234))
    await download(origin, path, { ...limits, digest })
    expect(leftBeside(path)).toEqual(['file.bin', name])
    expect(readFileSync(join(path, '..', name, 'content'))).toHaveLength(1234)
  })

  it('is removed when it is not needed any more', async () => {
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    leave(path, 'file.bin.part', content.subarray(0, 10))
    leave(path, `file.bin.part-${host}-4194999-0123456789ab`, content.subarray(0, 20))
    await download(origin, path, { ...limits, digest })
    expect(leftBeside(path)).toEqual(['file.bin'])
  })

  it('is thrown away when its bytes turn out to be wrong', async () => {
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    leave(path, 'file.bin.part', Buffer.alloc(5000, 1))
    await download(origin, path, { ...limits, digest })
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(received).toHaveLength(2)
  })

  it('may be asked not to be used', async () => {
    const { origin, received } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    leave(path, 'file.bin.part', content.subarray(0, 1234))
    await download(origin, path, { ...limits, digest, resume: false })
    expect(received.map(({ headers }) => headers.range)).toEqual([undefined])
  })

  it('does no harm at the same time', async () => {
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const path = target()
    await Promise.all(
      Array.from({ length: 5 }, () => download(origin, path, { ...limits, digest })),
    )
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(leftBeside(path)).toEqual(['file.bin'])
  })
})

describe('limits', () => {
  it('refuses a file that is announced to be too large before its first byte', async () => {
    const { origin } = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': 1e12 }).write('x')
    })
    const path = target()
    await expect(download(origin, path, limits)).rejects.toThrow(
      /the file is too large: 1000000000000 bytes, where 1048576 is the most/,
    )
    expect(leftBeside(path)).toEqual([])
  })

  it('refuses a body that does not end', async () => {
    const { origin } = await startServer((_request, response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536)));
      }
      response.on('drain', more)
      more()
    })
    const path = target()
    await expect(download(origin, path, limits)).rejects.toThrow(/more than 1048576 bytes/)
    expect(leftBeside(path)).toEqual([])
  })

  it('ends when the signal is aborted, keeping what came', async () => {
    const { origin } = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': 1000, etag: '"v1"' })
      const timer = setInterval(() => response.write('x'), 5)
      response.on('close', () => clearInterval(timer))
    })
    const path = target()
    const control = new AbortController()
    const onProgress = ({ receivedBytes }: DownloadProgress) => {
      if (receivedBytes > 3) control.abort()
    }
    const stopped = download(origin, path, { ...limits, signal: control.signal, onProgress })
    await expect(stopped).rejects.toBeInstanceOf(Interrupted)
    expect(leftBeside(path)).toEqual(['file.bin.part'])
    await expect(
      download(origin, path, { ...limits, signal: AbortSignal.abort() }),
    ).rejects.toBeInstanceOf(Interrupted)
  })

  it('ends when the signal is aborted between two tries', async () => {
    const { origin } = await startServer((_request, response) => response.writeHead(503).end())
    const signal = AbortSignal.timeout(50)
    const stopped = download(origin, target(), { ...limits, pauseMs: 60_000, signal })
    await expect(stopped).rejects.toBeInstanceOf(Interrupted)
  })

  it('says what stands in the way on disk', async () => {
    const { origin } = await startServer((request, response) =>
      sendFile(request, response, content),
    )
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'a'), '')
    await expect(download(origin, join(folder, 'a', 'b'), limits)).rejects.toThrow(UserError)
    mkdirSync(join(folder, 'taken'))
    await expect(download(origin, join(folder, 'taken'), limits)).rejects.toThrow(UserError)
    expect(existsSync(join(folder, 'taken'))).toBe(true)
  })
})

describe('an answer that is no file', () => {
  it.each([
    [401, /the server refuses access: status 401/],
    [403, /the server refuses access: status 403/],
    [404, /there is no such file: status 404 — check the address$/],
    [418, /the server sends no file: status 418/],
  ])('of status %i is one line that hides passwords and keys', async (status, message) => {
    const { origin, received } = await startServer((_request, response) =>
      response.writeHead(status).end('<html>'),
    )
    const { host } = new URL(origin)
    const failed = download(`http://me:p%40ss@${host}/x?token=abc`, target(), limits)
    await expect(failed).rejects.toThrow(message)
    await expect(failed).rejects.toThrow(new RegExp(`^http://${host}/x\\?…: `))
    await expect(failed).rejects.not.toThrow(/p%40ss|p@ss|abc/)
    expect(received).toHaveLength(1)
    expect(received[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
    )
  })

  it('is a server that is not there', async () => {
    const failed = download('http://127.0.0.1:1/x', target(), limits)
    await expect(failed).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:1\/x: (the server refuses connections|the request failed).* — check/,
    )
  })

  it.each(['ftp://host/x', 'file:///etc/passwd', 'nothing', 'data:text/plain,x'])(
    'is no address: %s',
    async (address) => {
      await expect(download(address, target(), limits)).rejects.toThrow(
        /not an http or https address/,
      )
    },
  )
})

describe('a redirect', () => {
  it('is followed, and keys stay with the server they are for', async () => {
    const other = await startServer((request, response) => sendFile(request, response, content))
    const { origin, received } = await startServer((request, response) =>
      response
        .writeHead(302, { location: request.url === '/a' ? '/b' : `${other.origin}/c` })
        .end(),
    )
    await download(`${origin}/a`, target(), {
      ...limits,
      digest,
      headers: { authorization: 'Bearer key' },
    })
    expect(received.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer key',
      'Bearer key',
    ])
    expect(other.received[0]?.headers.authorization).toBeUndefined()
  })

  it('ends where it goes in circles', async () => {
    const { origin, received } = await startServer((_request, response) =>
      response.writeHead(302, { location: '/again' }).end(),
    )
    await expect(download(origin, target(), limits)).rejects.toThrow(/more than 10 redirects/)
    expect(received).toHaveLength(11)
  })

  it.each([
    ['file:///etc/passwd', /not on the web: 'file:'/],
    ['ftp://host/', /not on the web: 'ftp:'/],
    ['http://host/x?key=1', /from https to http: 'http:\/\/host\/x\?…'/],
    ['http://', /redirects to no address/],
    [null, /redirects to no address/],
  ])('to %s is refused', (location, message) => {
    expect(() => redirected(new URL('https://host/a'), location)).toThrow(message)
  })

  it('may lead from http to https and to a path', () => {
    expect(redirected(new URL('http://host/a/b'), 'https://other/').href).toBe('https://other/')
    expect(redirected(new URL('https://host/a/b'), 'c').href).toBe('https://host/a/c')
  })
})

describe('an address in a message', () => {
  it.each([
    ['https://me:secret@host/a/b?x=1#y', 'https://host/a/b?…'],
    ['https://me:sec ret@ho st/a', 'https://…@ho st/a'],
    ['not\nan address', 'not an address'],
    [`https://host/${'a'.repeat(400)}`, `https://host/${'a'.repeat(287)}…`],
  ])('of %j is %j', (address, shown) => {
    expect(showAddress(address)).toBe(shown)
  })

  it('is read as an address', () => {
    expect(parseAddress('HTTPS://Host/a').href).toBe('https://host/a')
  })
})
